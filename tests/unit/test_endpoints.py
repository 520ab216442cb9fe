from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings

from openai_proxy.api.endpoints import ENDPOINTS, Endpoint, Route, find
from openai_proxy.api.permissions import PERMISSIONS
from openai_proxy.api.refused_families import REFUSED, Refused
from path_tricks import METHODS, TARGETS
from sdk_operations import sdk_operations

ID, MODEL_ID = "[A-Za-z0-9][A-Za-z0-9_-]*", "[A-Za-z0-9][A-Za-z0-9._:-]*"
SHAPES = {
    (endpoint.method, endpoint.path): re.compile(
        re.escape(endpoint.path).replace(r"\{id\}", MODEL_ID if endpoint.path.startswith("/models") else ID)
    )
    for endpoint in ENDPOINTS
}
NAMED_OTHERWISE = {
    "chat": "chat.completions.create",
    "text_completion": "completions.create",
    "responses.input_items": "responses.input_items.list",
    "responses.input_tokens": "responses.input_tokens.count",
}  # as they stand in ledgers since the first version


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation_name)
def test_each_endpoint_is_found_by_its_three_forms(endpoint: Endpoint) -> None:
    path = endpoint.path.replace("{id}", "a-1_B", 1).replace("{id}", "b-2")

    for prefix in ("/v1", "", "/openai/v1"):
        route = find(endpoint.method, prefix + path)

        assert route == Route(endpoint, path, "a-1_B" if "{id}" in endpoint.path else None)


def test_an_id_of_a_model_may_have_colons_and_dots_and_no_other_may() -> None:
    route = find("GET", "/v1/models/ft:gpt-4.1:acme::Bx-1_2")

    assert isinstance(route, Route)
    assert route.resource_id == "ft:gpt-4.1:acme::Bx-1_2"
    assert find("GET", "/v1/files/file-a:b") is None
    assert find("GET", "/v1/files/file-a.b") is None


def test_the_ancestors_form_is_chat_completions() -> None:
    route = find("POST", "/openai")

    assert isinstance(route, Route)
    assert route.upstream_path == "/chat/completions"
    assert find("GET", "/openai") is None


@pytest.mark.parametrize("family", REFUSED, ids=lambda family: str(family.path))
def test_a_refused_family_is_refused_whole_with_its_reason(family: Refused) -> None:
    for prefix in ("/v1", "", "/openai/v1"):
        for below in ("", "/", "/x", "/x/y", "/x/y/z"):
            for method in [family.method] if family.method else ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]:
                assert find(method, prefix + family.path + below) is family


def test_a_model_is_read_and_never_deleted() -> None:
    assert isinstance(find("GET", "/v1/models/gpt-4o"), Route)
    assert isinstance(find("DELETE", "/v1/models/ft:gpt-4o:acme::1"), Refused)
    assert find("POST", "/v1/models/ft:gpt-4o:acme::1") is None
    assert find("GET", "/v1/models/gpt%2f4o") is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "//v1/chat/completions"),
        ("POST", "/v1//chat/completions"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/v1/chat/completions."),
        ("POST", "/v1/chat/../chat/completions"),
        ("POST", "/v1/%2e%2e/chat/completions"),
        ("POST", "/v1/chat%2fcompletions"),
        ("POST", "/v1/v1/chat/completions"),
        ("POST", "/openai/openai/v1/chat/completions"),
        ("POST", "/openai/chat/completions"),
        ("POST", "/V1/chat/completions"),
        ("POST", "/v1/Chat/completions"),
        ("POST", "http://api.openai.com/v1/chat/completions"),
        ("GET", "http://api.openai.com/v1/organization/users"),
        ("POST", "x/chat/completions"),
        ("GET", "x/models"),
        ("POST", ""),
        ("POST", "/"),
        ("POST", "/v1"),
        ("POST", "/openai/"),
        ("post", "/v1/chat/completions"),
        ("PUT", "/v1/chat/completions"),
        ("GET", "/v1/responses/"),
        ("GET", "/v1/responses/.."),
        ("GET", "/v1/responses/%2e%2e"),
        ("GET", "/v1/responses/a%2f.."),
        ("GET", "/v1/responses/a%3fb"),
        ("GET", "/v1/responses/a%00"),
        ("GET", "/v1/responses/a%0a"),
        ("GET", "/v1/responses/a\n"),
        ("GET", "/v1/responses/{id}"),
        ("GET", "/v1/responses/%7Bid%7D"),
        ("GET", "/v1/files/%7bid%7d"),
        ("GET", "/v1/files/../organization/users"),
        ("GET", "/v1/files/%2e%2e%2forganization/content"),
        ("GET", "/v1/organization%2fusers"),
        ("GET", "/v1/organization."),
        ("GET", "/v1/organization;x/users"),
        ("GET", "/v1/Organization/users"),
        ("GET", "/v1/v1/organization/users"),
        ("GET", "/v1//organization/users"),
        ("GET", "/v1/\\organization/users"),
        ("GET", "/v1/nothing"),
        ("GET", "/v1/responses/" + "a" * 257),
        ("GET", "/v1/organization/" + "a" * 5000),
    ],
)
def test_no_other_form_is_accepted(method: str, path: str) -> None:
    assert find(method, path) is None


def test_encoded_letters_become_the_tables_own_path() -> None:
    route = find("GET", "/%761/%6dodels/gpt%2D4o")

    assert isinstance(route, Route)
    assert route.upstream_path == "/models/gpt-4o"


@settings(deadline=None, max_examples=1000)
@given(METHODS, TARGETS)
def test_the_upstream_path_is_always_of_the_tables_shapes(method: str, path: str) -> None:
    route = find(method, path)

    if isinstance(route, Route):
        assert route.endpoint.method == method
        assert SHAPES[method, route.endpoint.path].fullmatch(route.upstream_path)


def test_the_table_and_the_refused_families_have_every_operation_of_the_sdk() -> None:
    served = {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    unknown = [
        operation
        for operation in sdk_operations().keys() - served
        if not isinstance(find(operation[0], operation[1].replace("{id}", "a")), Refused)
    ]

    assert unknown == [], "serve them in endpoints.py, or refuse them in refused_families.py"


def test_the_sdk_has_every_operation_of_the_table_under_its_name() -> None:
    operations = sdk_operations()

    for endpoint in ENDPOINTS:
        names = operations[endpoint.method, endpoint.path]
        name = NAMED_OTHERWISE.get(endpoint.operation_name, endpoint.operation_name)
        assert names & {name, f"{name}.create"}


def test_a_request_whose_path_the_sdks_source_does_not_tell_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "things.py").write_text("class Things:\n  def list(self, path):\n    return self._get(path)\n")
    with pytest.raises(AssertionError, match="is not told"):
        sdk_operations(tmp_path)

    (tmp_path / "things.py").write_text(
        "class Things:\n  def list(self):\n    send = self._get\n    return send('/x')\n"
    )
    with pytest.raises(AssertionError, match="no path is told in line 3"):
        sdk_operations(tmp_path)


def test_operations_are_read_from_every_form_of_the_sdks_source(tmp_path: Path) -> None:
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "things.py").write_text(
        "class Things:\n"
        "  def list(self): return self._get_api_list('/things?beta=true', page=X)\n"
        "  async def search(self, a): return self._get_api_list(path_template('/things/{a}', a=a), method='post')\n"
        "  def get(self, a, b): return poll(self._get, f'/things/{a}/{b!r}')\n"
    )

    assert sdk_operations(tmp_path) == {
        ("GET", "/things"): {"things.list"},
        ("POST", "/things/{id}"): {"things.search"},
        ("GET", "/things/{id}/{id}"): {"things.get"},
    }


def test_no_path_fits_two_operations() -> None:
    assert len(ENDPOINTS) == len({endpoint.operation_name for endpoint in ENDPOINTS})
    for endpoint in ENDPOINTS:
        path = endpoint.path.replace("{id}", "a")
        assert [one for one, shape in SHAPES.items() if one[0] == endpoint.method and shape.fullmatch(path)] == [
            (endpoint.method, endpoint.path)
        ]


def test_what_no_answer_tells_the_cost_of_needs_a_permission() -> None:
    assert {each.operation_name for each in ENDPOINTS if each.metering == "unmetered" and not each.permission} == set()


def test_a_list_of_what_is_stored_is_for_admins_and_what_lies_under_an_id_is_not() -> None:
    for endpoint in ENDPOINTS:
        shows_all = endpoint.method == "GET" and "{id}" not in endpoint.path and endpoint.permission is not None
        assert endpoint.lists == shows_all, endpoint


def test_every_permission_opens_something() -> None:
    used = {endpoint.permission for endpoint in ENDPOINTS} | {"lists", "background_responses"}

    assert used - {None} == set(PERMISSIONS)


def test_what_a_caller_lacks_is_the_familys_permission_first_then_the_lists() -> None:
    listing = Endpoint("GET", "/files", "files.list", "free", "files", lists=True)
    by_id = Endpoint("GET", "/files/{id}", "files.retrieve", "free", "files")
    everybodys = Endpoint("GET", "/models", "models.list", "free")

    assert everybodys.missing(set(), is_admin=False) is None
    assert by_id.missing(set(), is_admin=True) == "files"
    assert by_id.missing({"files"}, is_admin=False) is None
    assert listing.missing({"lists"}, is_admin=False) == "files"
    assert listing.missing({"files"}, is_admin=False) == "lists"
    assert listing.missing({"files", "lists"}, is_admin=False) is None
    assert listing.missing({"files"}, is_admin=True) is None
