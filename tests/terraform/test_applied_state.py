"""What `terraform apply` makes: who may do what, who can be reached, and that every part agrees with the others."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from openai_proxy.access import events as access_events
from openai_proxy.bootstrap import rate_limits
from openai_proxy.settings import Settings
from terraform_stub import ROOT, VARIABLES, Stub, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

PROXY = "serviceAccount:openai-proxy-proxy@acme-team.iam.gserviceaccount.com"
USAGE_SINK = "serviceAccount:openai-proxy-usage-sink@acme-team.iam.gserviceaccount.com"
LOG_VIEW = "serviceAccount:openai-proxy-log-view@acme-team.iam.gserviceaccount.com"
BUILD = "serviceAccount:openai-proxy-build@acme-team.iam.gserviceaccount.com"
PUSH = "serviceAccount:openai-proxy-usage-push@acme-team.iam.gserviceaccount.com"
PUBSUB_AGENT = "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"
LOG_SINK = "serviceAccount:log-sink@gcp-sa-logging.iam.gserviceaccount.com"

GRANTS = {
    ("allUsers", "roles/run.invoker", "service openai-proxy-proxy"),
    (PROXY, "roles/run.invoker", "service openai-proxy-log-view"),
    (PROXY, "roles/pubsub.publisher", "topic openai-proxy-usage-events"),
    (PROXY, "roles/secretmanager.secretAccessor", "secret openai-proxy-openai-api-key"),
    (PROXY, "roles/storage.objectCreator", "bucket acme-team-openai-proxy-budget-claims"),
    (PROXY, "roles/secretmanager.secretAccessor", "secret openai-proxy-access-file"),
    (PROXY, "roles/secretmanager.secretAccessor", "secret openai-proxy-upstream-key-research"),
    (PROXY, "roles/secretmanager.secretAccessor", "secret openai-proxy-upstream-key-model-evals"),
    (PROXY, "roles/secretmanager.secretAccessor", "secret openai-proxy-rate-limit-url"),
    (USAGE_SINK, "projects/acme-team/roles/openai_proxy_ledger_appender", "table openai_proxy.usage_records"),
    (USAGE_SINK, "roles/pubsub.publisher", "topic openai-proxy-dead-letters"),
    (LOG_VIEW, "roles/bigquery.dataViewer", "dataset openai_proxy"),
    (LOG_VIEW, "roles/bigquery.jobUser", "project acme-team"),
    (LOG_VIEW, "roles/secretmanager.secretAccessor", "secret openai-proxy-access-file"),
    (LOG_VIEW, "roles/secretmanager.secretAccessor", "secret openai-proxy-session-secret"),
    (PUSH, "roles/run.invoker", "service openai-proxy-usage-sink"),
    (PUBSUB_AGENT, "roles/pubsub.publisher", "topic openai-proxy-dead-letters"),
    (PUBSUB_AGENT, "roles/pubsub.subscriber", "subscription openai-proxy-usage-sink"),
    (PUBSUB_AGENT, "roles/iam.serviceAccountTokenCreator", f"account {PUSH.partition(':')[2]}"),
    (LOG_SINK, "roles/pubsub.publisher", "topic openai-proxy-usage-events"),
    (BUILD, "roles/artifactregistry.writer", "project acme-team"),
    (BUILD, "roles/logging.logWriter", "project acme-team"),
    (BUILD, "roles/storage.objectViewer", "project acme-team"),
}

CHOSEN = ('-var=upstream_keys=["research", "model_evals"]', "-var=rate_limit_redis=true")

# Of the platform, not ours: gunicorn's threads, and an execution's id in each line of the log.
PLATFORM = {"THREADS", "LOG_EXECUTION_ID"}
ENVIRONMENT = {
    "proxy": {
        "ACCESS_FILE",
        "BUDGET_CLAIMS_URL",
        "BUDGET_INSTANCES",
        "BUDGET_PIPELINE_SECONDS",
        "BUDGET_REFRESH_SECONDS",
        "FORWARDED_HOPS",
        "LOG_VIEW_AUDIENCE",
        "LOG_VIEW_URL",
        "OPENAI_API_KEY_FILE",
        "RATE_LIMIT_URL",
        "UPSTREAM_KEYS_DIR",
        "USAGE_QUEUE_URL",
    },
    "usage_sink": {"DEAD_LETTER_URL", "USAGE_STORE_URL"},
    "log_view": {"ACCESS_FILE", "FORWARDED_HOPS", "SESSION_SECRET", "USAGE_STORE_URL"},
}


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Stub:
    one = Stub.new(tmp_path_factory.mktemp("applied"))
    one.apply(*CHOSEN)
    return one


@pytest.fixture(scope="module")
def state(stub: Stub) -> Mapping[str, Mapping[str, Any]]:
    return stub.state()


def test_exactly_these_may_do_exactly_that(state: Mapping[str, Mapping[str, Any]]) -> None:
    grants = [_grant(values) for address, values in state.items() if "_iam_member" in address]

    assert set(grants) == GRANTS
    assert len(grants) == len(GRANTS)
    assert not [address for address in state if "_iam_binding" in address or "_iam_policy" in address]


def test_the_sink_can_append_and_nothing_else(state: Mapping[str, Mapping[str, Any]]) -> None:
    role = state["google_project_iam_custom_role.ledger_appender"]

    assert set(role["permissions"]) == {"bigquery.tables.get", "bigquery.tables.updateData"}


def test_only_the_proxy_can_be_reached_from_outside(state: Mapping[str, Mapping[str, Any]]) -> None:
    public = {resource for member, _, resource in GRANTS if member in {"allUsers", "allAuthenticatedUsers"}}

    assert public == {"service openai-proxy-proxy"}
    assert _service(state, "usage_sink")["ingress_settings"] == "ALLOW_INTERNAL_ONLY"
    assert state["google_storage_bucket.placeholder"]["public_access_prevention"] == "enforced"


def test_each_function_runs_as_its_own_account(state: Mapping[str, Mapping[str, Any]]) -> None:
    accounts = {_service(state, name)["service_account_email"] for name in ENVIRONMENT}

    assert len(accounts) == 3
    assert {f"serviceAccount:{account}" for account in accounts} == {PROXY, USAGE_SINK, LOG_VIEW}


def test_no_function_is_told_what_its_settings_do_not_know(state: Mapping[str, Mapping[str, Any]]) -> None:
    known = {field.name.upper() for field in dataclasses.fields(Settings)}

    for name, expected in ENVIRONMENT.items():
        service = _service(state, name)
        told = set(service["environment_variables"]) | {one["key"] for one in service["secret_environment_variables"]}
        assert told - PLATFORM == expected
        assert expected <= known


def test_files_that_settings_name_are_mounted_there(state: Mapping[str, Mapping[str, Any]]) -> None:
    for name in ("proxy", "log_view"):
        service = _service(state, name)
        mounted = {
            f"{volume['mount_path']}/{version['path']}": volume["secret"]
            for volume in service["secret_volumes"]
            for version in volume["versions"]
        }
        named = {path for key, path in service["environment_variables"].items() if key.endswith("_FILE")}
        if folder := service["environment_variables"].get("UPSTREAM_KEYS_DIR"):
            keys = [f"{folder}/{key}/api_key" for key in ("research", "model_evals")]
            assert [mounted[key] for key in keys] == [
                "openai-proxy-upstream-key-research", "openai-proxy-upstream-key-model-evals",
            ]  # fmt: skip
            named |= {*keys}
        assert set(mounted) == named
        assert len({volume["mount_path"] for volume in service["secret_volumes"]}) == len(mounted)


def test_a_rotated_key_needs_no_redeploy(state: Mapping[str, Mapping[str, Any]]) -> None:
    versions = [
        version["version"]
        for name in ("proxy", "log_view")
        for volume in _service(state, name)["secret_volumes"]
        for version in volume["versions"]
    ]

    assert versions == ["latest"] * 5
    variables = _service(state, "proxy")["secret_environment_variables"]
    assert "OPENAI_API_KEY" not in {
        *_service(state, "proxy")["environment_variables"],
        *(one["key"] for one in variables),
    }


def test_the_address_of_redis_is_read_from_its_secret_and_reaches_nothing_before_it_is_sent(
    state: Mapping[str, Mapping[str, Any]],
) -> None:
    (variable,) = _service(state, "proxy")["secret_environment_variables"]
    first = state['google_secret_manager_secret_version.first["rate_limit_url"]']["secret_data_wo"]

    assert (variable["key"], variable["secret"]) == ("RATE_LIMIT_URL", "openai-proxy-rate-limit-url")
    assert "RATE_LIMIT_URL" not in _service(state, "proxy")["environment_variables"]
    assert first.endswith(".invalid")
    assert rate_limits(Settings(rate_limit_url=first))  # an address that the proxy starts with


def test_threads_follow_concurrency(state: Mapping[str, Mapping[str, Any]]) -> None:
    for name in ("usage_sink", "log_view"):
        service = _service(state, name)
        assert service["environment_variables"]["THREADS"] == str(service["max_instance_request_concurrency"])
    assert "THREADS" not in _service(state, "proxy")["environment_variables"]  # its loop has no threads


def test_a_push_outlives_the_sink_and_a_thinking_model_is_waited_for(state: Mapping[str, Mapping[str, Any]]) -> None:
    subscription = state["google_pubsub_subscription.usage_sink"]

    assert _service(state, "usage_sink")["timeout_seconds"] < subscription["ack_deadline_seconds"] <= 600
    assert _service(state, "proxy")["timeout_seconds"] == 3600


def test_the_push_is_signed_for_the_sink_and_names_its_topic(state: Mapping[str, Mapping[str, Any]]) -> None:
    subscription = state["google_pubsub_subscription.usage_sink"]
    push = subscription["push_config"][0]
    uri = _service(state, "usage_sink")["uri"]

    assert push["push_endpoint"] == f"{uri}/projects/acme-team/topics/openai-proxy-usage-events"
    assert push["oidc_token"] == [{"audience": uri, "service_account_email": PUSH.partition(":")[2]}]
    assert subscription["retry_policy"] == [{"minimum_backoff": "10s", "maximum_backoff": "600s"}]
    assert subscription["dead_letter_policy"] == [
        {"dead_letter_topic": "projects/acme-team/topics/openai-proxy-dead-letters", "max_delivery_attempts": 10}
    ]


def test_nothing_that_waits_expires_with_its_subscription(state: Mapping[str, Mapping[str, Any]]) -> None:
    for name in ("usage_sink", "dead_letters"):
        subscription = state[f"google_pubsub_subscription.{name}"]
        assert subscription["expiration_policy"] == [{"ttl": ""}]
        assert subscription["message_retention_duration"] == f"{31 * 86400}s"
    assert not state["google_pubsub_subscription.dead_letters"]["push_config"]


def test_the_functions_are_told_of_what_was_made(state: Mapping[str, Mapping[str, Any]]) -> None:
    proxy = _service(state, "proxy")["environment_variables"]
    sink = _service(state, "usage_sink")["environment_variables"]
    log_view = _service(state, "log_view")["environment_variables"]

    assert proxy["USAGE_QUEUE_URL"] == "pubsub://acme-team/openai-proxy-usage-events"
    assert proxy["LOG_VIEW_URL"] == proxy["LOG_VIEW_AUDIENCE"] == _service(state, "log_view")["uri"]
    assert sink["DEAD_LETTER_URL"] == "pubsub://acme-team/openai-proxy-dead-letters"
    assert sink["USAGE_STORE_URL"] == log_view["USAGE_STORE_URL"] == "bigquery://acme-team/openai_proxy/usage_records"


def test_the_table_is_the_schema_file(state: Mapping[str, Mapping[str, Any]]) -> None:
    table = state["google_bigquery_table.usage_records"]
    columns = json.loads((ROOT / "src/openai_proxy/usage_records.schema.json").read_text("utf-8"))

    assert json.loads(table["schema"]) == columns
    assert table["time_partitioning"][0]["field"] == "event_time"
    assert table["require_partition_filter"]
    assert {*table["clustering"], "event_time"} <= {column["name"] for column in columns}


def test_changes_of_who_may_call_have_a_table_of_their_own(state: Mapping[str, Mapping[str, Any]]) -> None:
    table = state["google_bigquery_table.access_events"]

    assert json.loads(table["schema"]) == list(access_events.schema())
    assert table["deletion_protection"]


def test_every_query_file_is_there_with_its_names_filled_in(state: Mapping[str, Mapping[str, Any]]) -> None:
    folder = ROOT / "src/openai_proxy/queries/bigquery"
    views = {path.stem for path in folder.glob("*.sql") if path.read_text("utf-8").startswith("-- View:")}
    made = {
        values["table_id"]: values["view"][0]["query"]
        for address, values in state.items()
        if address.startswith("google_bigquery_table.view")
    }
    made["usage"] = state["google_bigquery_routine.usage"]["definition_body"]

    assert set(made) == views | {"usage"}
    for query in made.values():
        assert "`acme-team.openai_proxy.usage" in query
        assert "${" not in query
        assert "@" not in query
        assert not query.rstrip().endswith(";")


def test_no_secret_has_a_value_in_the_state(state: Mapping[str, Mapping[str, Any]]) -> None:
    versions = [values for address, values in state.items() if "google_secret_manager_secret_version" in address]

    # the stand-in keeps write-only arguments, which Terraform itself never does: what counts is that they are used
    assert len(versions) == 6
    assert [values["secret_data"] for values in versions] == [None] * 6
    assert all(values["secret_data_wo"] for values in versions)


def test_a_lost_event_has_a_way_back(state: Mapping[str, Mapping[str, Any]]) -> None:
    sink = state["google_logging_project_sink.unpublished_events"]

    assert sink["destination"] == "pubsub.googleapis.com/projects/acme-team/topics/openai-proxy-usage-events"
    assert 'service_name="openai-proxy-proxy"' in sink["filter"]
    assert "jsonPayload.usage_event:*" in sink["filter"]


def test_every_alert_goes_to_the_address_and_says_what_to_do(state: Mapping[str, Mapping[str, Any]]) -> None:
    alerts = [values for address, values in state.items() if "google_monitoring_alert_policy" in address]
    channel = state["google_monitoring_notification_channel.email"]

    assert channel["labels"] == {"email_address": "ops@acme.example"}
    assert sorted(alert["display_name"].removeprefix("openai-proxy: ") for alert in alerts) == [
        "a budget is used to 80 %",
        "a budget is used up",
        "a model has no price",
        "dead letters wait",
        "many requests fail",
        "usage events could not be published",
    ]
    for alert in alerts:
        assert alert["notification_channels"] == [channel["id"]]
        assert alert["documentation"][0]["content"]


def test_outputs_say_what_a_member_needs(stub: Stub) -> None:
    outputs = {name: one["value"] for name, one in json.loads(stub.run("output", "-json").stdout).items()}

    assert outputs["openai_base_url"] == outputs["proxy_url"] + "/v1"
    assert outputs["log_url"] == outputs["proxy_url"] + "/log"
    assert outputs["deploy"]["functions"] == {
        "proxy": "openai-proxy-proxy",
        "usage_sink": "openai-proxy-usage-sink",
        "log_view": "openai-proxy-log-view",
    }


def test_a_second_plan_is_empty(stub: Stub) -> None:
    done = stub.run("plan", "-detailed-exitcode", "-no-color", *VARIABLES, *CHOSEN)

    assert done.returncode == 0, done.stdout


def test_code_that_was_shipped_is_no_difference(stub: Stub) -> None:
    """Terraform never looks at build_config again, so that no apply puts the placeholder over the live code."""
    text = (stub.folder / "terraform" / "project.tf").read_text("utf-8")
    changed = Stub(stub.folder)
    (changed.folder / "terraform" / "project.tf").write_text(text.replace("python313", "python314"), "utf-8")
    try:
        done = changed.run("plan", "-no-color", *VARIABLES, *CHOSEN)
    finally:
        (changed.folder / "terraform" / "project.tf").write_text(text, "utf-8")

    assert done.returncode == 0, done.stderr
    assert "google_cloudfunctions2_function" not in done.stdout.partition("Terraform will perform")[2]
    assert "python314" in done.stdout  # only the output for make deploy changes


def test_googles_sign_in_adds_who_may_come_in_and_tells_log_view_for_whom_it_is_signed(tmp_path: Path) -> None:
    fakes = {"google_compute_backend_service": {"generated_id": "987654321"}}
    stub = Stub.new(tmp_path / "google", fakes=fakes)
    stub.apply(*CHOSEN, '-var=google_sign_in={domain="usage.example.com", members=["domain:example.com"]}')
    state = stub.state()

    grants = [_grant(values) for address, values in state.items() if "_iam_member" in address]
    added = ("domain:example.com", "roles/iap.httpsResourceAccessor", "backend openai-proxy-page")
    assert sorted(grants) == sorted([*GRANTS, added])
    told = _service(state, "log_view")["environment_variables"]
    assert told["IAP_AUDIENCE"] == "/projects/123456789012/global/backendServices/987654321"
    assert "IAP_AUDIENCE" not in _service(state, "proxy")["environment_variables"]
    assert json.loads(stub.run("output", "-json").stdout)["google_sign_in"]["value"]["log_url"] == (
        "https://usage.example.com/log"
    )


def _service(state: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    service: Mapping[str, Any] = state[f"google_cloudfunctions2_function.{name}"]["service_config"][0]
    return service


def _grant(values: Mapping[str, Any]) -> tuple[str, str, str]:
    """Who, which role, on what; the first of these names is the narrowest thing that the grant is on."""
    member, role = values["member"], values["role"]
    if "table_id" in values:
        return member, role, f"table {values['dataset_id']}.{values['table_id']}"
    for key, kind in (
        ("service", "service"),
        ("web_backend_service", "backend"),
        ("topic", "topic"),
        ("subscription", "subscription"),
        ("secret_id", "secret"),
        ("bucket", "bucket"),
        ("dataset_id", "dataset"),
        ("service_account_id", "account"),
    ):
        if key in values:
            return member, role, f"{kind} {values[key].rpartition('/')[2]}"
    return member, role, f"project {values['project']}"
