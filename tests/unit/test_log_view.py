from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_ledger import MadeLedger
from made_usage import usage_record
from openai_proxy.access.callers import Access
from openai_proxy.budgets.spend_messages import SpendRequest, answer_from_json
from openai_proxy.keys import key_hash
from openai_proxy.log_view import LogView
from openai_proxy.page.exchange import Answer, Question
from openai_proxy.page.readers import Readers
from openai_proxy.page.views import UsagePage
from openai_proxy.period import Period
from openai_proxy.ports import NEWEST_FIRST, Order, Selection, SpendQuestion
from openai_proxy.records import UsageRecord

NOW = datetime.now(UTC)
SECRET = "a made-up secret"
BASE = "https://proxy.example.com"
KEYS = {"ada": "sk-op-made-up-ada", "boss": "sk-op-made-up-boss", "eve": "sk-op-made-up-eve"}
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
RECORDS = [
    usage_record(f"{user}-{n}", NOW - timedelta(days=n), user) for user in ("ada", "boss", "eve") for n in (0, 3)
]


def access_text(*, without: str = "") -> str:
    users = "".join(
        f"""
        [users.{user}]
        role = "{"admin" if user == "boss" else "member"}"
        [[users.{user}.keys]]
        id = "key_{user}"
        sha256 = "{key_hash(key)}"
        created_time = 2026-01-01T00:00:00Z
        """
        for user, key in KEYS.items()
        if user != without
    )
    return f"version = 1\n{users}\n[users.demo]\nallow_user_name = true"


@dataclass
class HeldAccess:
    text: str = access_text()

    def current(self) -> Access:
        return Access.parse(self.text)


@cache
def kept() -> MadeLedger:
    """The ledger of RECORDS, to which nobody writes."""
    return MadeLedger(RECORDS)


def view(ledger: MadeLedger | None = None, access: HeldAccess | None = None) -> LogView:
    return LogView(ledger or kept(), access or HeldAccess(), session_secret=SECRET)


def get(path: str = "/log", user: str | None = None, accept: str = "*/*", **query: str) -> Question:
    authorization = f"Bearer {KEYS[user]}" if user else None
    return Question(method="GET", path=path, base_url=BASE, accept=accept, authorization=authorization, query=query)


def post(path: str, *, secret: str = SECRET, **form: str) -> Question:
    """A form as our page sends it, from a browser that has its cookie."""
    question = Question(method="POST", path=path, base_url=BASE, accept=BROWSER, origin=BASE, session="visitor.v")
    return replace(question, form={"token": Readers(HeldAccess(), secret).form_token(question), **form})


def cookie_of(answer: Answer) -> str:
    return answer.headers["Set-Cookie"].partition(";")[0].partition("=")[2]


def user_ids(answer: Answer) -> set[str]:
    """Everybody whose usage an answer shows, in whatever form."""
    if answer.text is not None:
        lines = "".join(answer.text).splitlines()[1:]
        return {line.split(",")[3] for line in lines}
    if answer.json is not None:
        said = json.dumps(answer.json)
        return {user for user in KEYS if f"{user}-" in said or f'"{user}"' in said}
    page = answer.context["page"]
    assert isinstance(page, UsagePage)
    said = repr((page.tables, page.latest))
    return {user for user in KEYS if f"'{user}'" in said or f"{user}-" in said}


def refused_with(answer: Answer) -> tuple[int, str]:
    assert isinstance(answer.json, dict)
    return answer.status, answer.json["error"]["code"]


def test_a_member_gets_their_own_usage_as_json() -> None:
    answer = view().answer(get(user="ada"), NOW)

    assert isinstance(answer.json, dict)
    assert (answer.status, answer.json["user_id"], answer.json["totals"]["requests"]) == (200, "ada", 2)
    assert {"period", "user_id", "tag", "totals", "by_day_and_model", "latest"} <= answer.json.keys()
    assert "by_user" not in answer.json


def test_an_admin_gets_everybodys_usage_or_one_users() -> None:
    everybody = view().answer(get(user="boss"), NOW).json
    one = view().answer(replace(get(user="boss"), query={"user": "eve"}), NOW)

    assert isinstance(everybody, dict)
    assert (everybody["user_id"], everybody["totals"]["requests"], len(everybody["by_user"])) == (None, 6, 3)
    assert user_ids(one) == {"eve"}


def test_a_key_pasted_once_opens_the_page_by_cookie() -> None:
    log_view = view()

    signed_in = log_view.answer(post("/log/sign-in", key=f" {KEYS['ada']}\n"), NOW)
    page = log_view.answer(replace(get(accept=BROWSER), session=cookie_of(signed_in)), NOW)

    assert (signed_in.status, signed_in.headers["Location"]) == (303, "/log")
    assert signed_in.headers["Set-Cookie"].endswith("HttpOnly; SameSite=Lax; Secure")
    assert KEYS["ada"] not in signed_in.headers["Set-Cookie"]
    assert (page.status, page.template) == (200, "usage.html")
    assert user_ids(page) == {"ada"}


def test_over_plain_http_the_cookie_is_not_secure() -> None:
    question = replace(post("/log/sign-in", key=KEYS["ada"]), base_url="http://localhost:8080", origin=None)

    assert "Secure" not in view().answer(question, NOW).headers["Set-Cookie"]


def test_a_plain_name_signs_in_only_where_the_owner_allows_it() -> None:
    assert view().answer(post("/log/sign-in", key="demo"), NOW).status == 303
    assert view().answer(post("/log/sign-in", key="ada"), NOW).status == 401


def test_a_wrong_key_gets_the_same_page_and_is_not_repeated() -> None:
    answer = view().answer(post("/log/sign-in", key="sk-op-wrong"), NOW)

    assert (answer.status, answer.template) == (401, "sign_in.html")
    assert "sk-op-wrong" not in repr(answer)
    assert "Set-Cookie" not in answer.headers


def test_a_wrong_credential_gets_openais_error_shape() -> None:
    answer = view().answer(replace(get(), authorization="Bearer sk-op-wrong"), NOW)

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json == {
        "error": {
            "message": "The key in the Authorization header is not valid.",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_api_key",
        }
    }


@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_program_is_told_in_json_even_from_a_browser(form: str) -> None:
    answer = view().answer(replace(get(accept=BROWSER), query={"format": form}), NOW)

    assert refused_with(answer) == (401, "missing_api_key")


def test_a_wrong_header_is_not_saved_by_a_good_cookie() -> None:
    log_view = view()
    session = cookie_of(log_view.answer(post("/log/sign-in", key=KEYS["ada"]), NOW))

    answer = log_view.answer(replace(get(), session=session, authorization="Bearer sk-op-wrong"), NOW)

    assert answer.status == 401


def test_a_revoked_key_signs_its_browsers_out() -> None:
    access = HeldAccess()
    log_view = view(access=access)
    session = cookie_of(log_view.answer(post("/log/sign-in", key=KEYS["ada"]), NOW))
    access.text = access_text(without="ada")

    answer = log_view.answer(replace(get(accept=BROWSER), session=session), NOW)

    assert (answer.status, answer.template, answer.context["code"]) == (401, "sign_in.html", "session_ended")
    assert cookie_of(answer).startswith("visitor.")


def test_an_old_or_forged_cookie_signs_out() -> None:
    log_view = view()
    session = cookie_of(log_view.answer(post("/log/sign-in", key=KEYS["ada"]), NOW))
    forged = LogView(MadeLedger(), HeldAccess(), session_secret="another")
    foreign = cookie_of(forged.answer(post("/log/sign-in", secret="another", key=KEYS["boss"]), NOW))

    late = log_view.answer(replace(get(), session=session), datetime.now(UTC) + timedelta(hours=12))

    assert refused_with(late) == (401, "session_ended")
    assert refused_with(log_view.answer(replace(get(), session=foreign), NOW)) == (401, "session_ended")


def test_signing_out_forgets_the_cookie() -> None:
    answer = view().answer(post("/log/sign-out"), NOW)

    assert (answer.status, answer.headers["Location"], cookie_of(answer)) == (303, "/log", "")


@pytest.mark.parametrize("path", ["/log/sign-in", "/log/sign-out"])
@pytest.mark.parametrize(
    ("origin", "fetch_site", "status"),
    [
        ("https://evil.example", None, 403),
        ("null", None, 403),
        ("http://proxy.example.com", None, 403),
        (None, "cross-site", 403),
        (None, "same-site", 403),
        (BASE, "cross-site", 403),
        (BASE, None, 303),
        ("HTTPS://Proxy.example.com", None, 303),
        (BASE, "same-origin", 303),
        (None, "none", 303),
        (None, None, 303),
    ],
)
def test_a_form_from_another_site_is_refused(
    path: str, origin: str | None, fetch_site: str | None, status: int
) -> None:
    question = replace(post(path, key=KEYS["ada"]), origin=origin, fetch_site=fetch_site)

    assert view().answer(question, NOW).status == status


def test_a_forms_address_opened_by_get_leads_to_the_page() -> None:
    answer = view().answer(get("/log/sign-in", accept=BROWSER), NOW)

    assert (answer.status, answer.headers["Location"]) == (303, "/log")


@pytest.mark.parametrize(
    ("question", "status", "code"),
    [
        (get(user="ada", period="year"), 400, "invalid_period"),
        (get(user="ada", since="soon"), 400, "invalid_period"),
        (get(user="ada", format="xml"), 400, "invalid_format"),
        (get("/log/elsewhere"), 404, "not_found"),
        (replace(get(), method="DELETE"), 405, "method_not_allowed"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_its_reason(question: Question, status: int, code: str) -> None:
    page = view().answer(replace(question, accept=BROWSER, query={**question.query, "format": "html"}), NOW)

    assert refused_with(view().answer(question, NOW)) == (status, code)
    if code != "invalid_format":
        assert (page.status, page.template, page.context["code"]) == (status, "refused.html", code)


def test_a_wrong_method_is_told_the_right_ones() -> None:
    assert view().answer(replace(get(), method="POST"), NOW).headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("query", [{}, {"format": "csv"}, {"format": "json"}])
def test_an_unreadable_ledger_is_said_so_and_nothing_of_it(
    query: Mapping[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    answer = view(MadeLedger(broken=True)).answer(replace(get(user="ada"), query=query), NOW)

    assert refused_with(answer) == (503, "ledger_unreachable")
    assert answer.headers["Retry-After"] == "5"
    assert "not a database" not in repr(answer)
    assert "not a database" in capfd.readouterr().err


def test_an_unreadable_access_file_is_said_so_on_a_page() -> None:
    answer = view(access=HeldAccess("version = 2")).answer(get(user="ada", accept=BROWSER), NOW)

    assert (answer.status, answer.template) == (503, "refused.html")


def test_healthz_names_what_is_not_well() -> None:
    question = get("/healthz")
    ledger = MadeLedger(broken=True)
    broken = view(ledger, HeldAccess("version = 2")).answer(question, NOW)

    assert view().answer(question, NOW).json == {"ledger": "ok"}
    assert broken.status == 503
    assert broken.json == {
        "ledger": (
            f"the ledger {ledger.path} cannot be read now (file is not a database);"
            " see that its folder is there, writable and not full"
        ),
        "access_file": "the access file, line 1, column 1: version: the file must begin with version = 1",
    }


def test_csv_is_a_file_of_the_periods_records() -> None:
    answer = view().answer(get(user="boss", format="csv", since="2020-01-01", until="2099-12-31"), NOW)

    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="usage_20200101_20991231.csv"'
    assert answer.text is not None
    assert len("".join(answer.text).splitlines()) == 1 + len(RECORDS)


def test_csv_of_nothing_is_the_line_of_columns() -> None:
    answer = view(MadeLedger()).answer(get(user="boss", format="csv"), NOW)

    assert answer.text is not None
    assert "".join(answer.text).startswith("event_id,")


def test_csv_is_read_as_it_is_sent() -> None:
    class EndlessLedger(MadeLedger):
        read = 0

        def records(
            self, selection: Selection, *, limit: int | None, offset: int = 0, order: Order = NEWEST_FIRST
        ) -> Iterator[Mapping[str, Any]]:
            del selection, limit, offset, order
            while True:
                self.read += 1
                yield RECORDS[0].row()

    ledger = EndlessLedger()
    answer = view(ledger).answer(get(user="boss", format="csv"), NOW)

    assert ledger.read == 1
    assert answer.text is not None
    assert len(next(answer.text)) > 30_000


def _tagged(record: UsageRecord, **tags: str) -> UsageRecord:
    return replace(record, event=replace(record.event, tags=tags))


@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_tag_chooses_what_is_listed_and_summed(form: str) -> None:
    ledger = MadeLedger([*RECORDS[:2], *(_tagged(record, project="apollo") for record in RECORDS[2:])])

    answer = view(ledger).answer(get(user="boss", period="all", tag="project=apollo", format=form), NOW)

    if form == "csv":
        assert answer.text is not None
        assert len("".join(answer.text).splitlines()) == 1 + 4
    else:
        assert isinstance(answer.json, dict)
        assert answer.json["tag"] == {"project": "apollo"}
        assert answer.json["totals"]["requests"] == sum(total["requests"] for total in answer.json["by_user"]) == 4
        assert user_ids(answer) == {"boss", "eve"}


@pytest.mark.parametrize("tag", ["project", "=apollo", "project=", "Project=apollo", "project=a=b"])
def test_what_is_no_tag_is_said(tag: str) -> None:
    answer = view().answer(get(user="ada", tag=tag), NOW)

    assert answer.status == 400
    assert isinstance(answer.json, dict)
    assert answer.json["error"]["code"] == "invalid_tag"


def test_an_admin_may_choose_users_of_the_file_and_of_the_ledger() -> None:
    gone = usage_record("e", NOW, "long-gone")

    answer = view(MadeLedger([*RECORDS, gone])).answer(get(user="boss", accept=BROWSER), NOW)

    page = answer.context["page"]
    assert isinstance(page, UsagePage)
    (users,) = (one for one in page.choice.filters if one.name == "user")
    assert [option.value for option in users.options] == ["", "ada", "boss", "demo", "eve", "long-gone"]


@given(
    question=st.builds(
        get, path=st.sampled_from(["/log", "/healthz", "/nowhere"]), accept=st.sampled_from(["", BROWSER])
    )
)
def test_every_answer_keeps_browsers_from_doing_harm(question: Question) -> None:
    headers = view().answer(question, NOW).headers

    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]


DAY_ONE = datetime(1970, 1, 1, tzinfo=UTC)
SPEND = SpendRequest(
    instance_id="instance-1",
    questions=(
        SpendQuestion(scope_kind="user", scope_name="ada", since=DAY_ONE, own_since=NOW),
        SpendQuestion(scope_kind="organization", scope_name="", since=DAY_ONE, own_since=NOW),
    ),
)


def ask(message: object, authorization: str | None = "Bearer the-proxys-own", **more: Any) -> Answer:
    question = Question(method="POST", path="/spend", base_url=BASE, json=message, authorization=authorization, **more)
    return LogView(kept(), HeldAccess(), session_secret="a made-up secret", token="the-proxys-own").answer(
        question, NOW
    )


def test_the_proxy_is_told_what_was_spent() -> None:
    answer = ask(SPEND.to_json())

    spend = answer_from_json(answer.json, SPEND.questions)
    totals = kept().totals(Selection(period=Period(DAY_ONE, datetime.max.replace(tzinfo=UTC))), by=["user"])
    assert answer.status == 200
    assert spend.amounts[0] == sum(Decimal(total.list_cost) for total in totals if total.group == ("ada",))
    assert spend.amounts[1] == sum(Decimal(total.list_cost) for total in totals)
    assert spend.amounts[0] > 0


@pytest.mark.parametrize("shown", [None, "", "Bearer another", "Bearer \ud800", f"Bearer {KEYS['boss']}"])
def test_nobody_else_is_told_what_was_spent(shown: str | None) -> None:
    answer = ask(SPEND.to_json(), shown)

    assert (answer.status, "amounts" in str(answer.json)) == (401, False)


def test_what_is_passed_on_for_somebody_is_never_told_what_was_spent() -> None:
    """Where the platform checks who calls, the proxy's own identity goes with all that it passes on."""
    question = Question(method="POST", path="/spend", base_url=BASE, json=SPEND.to_json(), is_relayed=True)

    assert view().answer(question, NOW).status == 404


def test_a_question_that_makes_no_sense_is_refused() -> None:
    assert ask({"instance_id": "i"}).status == 400
    assert view().answer(Question(method="GET", path="/spend", base_url=BASE), NOW).status == 405


def test_a_ledger_that_cannot_be_read_says_so_to_the_proxy_as_well() -> None:
    question = Question(method="POST", path="/spend", base_url=BASE, json=SPEND.to_json())

    assert view(MadeLedger(broken=True)).answer(question, NOW).status == 503
