"""Prints docs/cost.md from a dated table of list prices: `python deploy/cost.py >docs/cost.md`.

Every price names its source or says that it is an assumption. A new price is a change of `PRICES` and nothing else.
"""
# ruff: noqa: INP001, T201 - a script beside the package; it prints

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

READ = "2026-11-23"
HOURS = 730  # a month
GIB = 2**30
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """A list price in US dollars, what is free of it each month, and where that was read."""

    amount: float
    unit: str
    source: str
    free: str = ""


PRICES = {
    "run_cpu": Price(0.000024, "vCPU-second while a request is served", "cloud.google.com/run/pricing", "180,000"),
    "run_memory": Price(
        0.0000025, "GiB-second while a request is served", "cloudchipr.com, Cloud Run guide, 2025", "360,000"
    ),
    "run_requests": Price(0.40, "million requests", "cloudchipr.com, Cloud Run guide, 2025", "2 million"),
    "run_cpu_always": Price(0.000018, "vCPU-second, instance-based billing", "cloud.google.com/run/pricing"),
    "run_memory_always": Price(0.000002, "GiB-second, instance-based billing", "assumption"),
    "run_idle": Price(0.0000025, "vCPU-second or GiB-second of an idle minimum instance", "assumption"),
    "egress": Price(0.12, "GiB to the internet", "cloudwebschool.com, Cloud Run calculator", "1 GiB"),
    "pubsub": Price(40, "TiB published or pushed, at least 1 kB a call", "cloud.google.com/pubsub/pricing", "10 GiB"),
    "bigquery_insert": Price(0.01, "200 MB streamed in, at least 1 kB a row", "cloud.google.com/bigquery/pricing"),
    "bigquery_active": Price(
        0.02, "GiB-month, changed in the last 90 days", "cloud.google.com/bigquery/pricing", "10 GiB"
    ),
    "bigquery_long": Price(0.01, "GiB-month, not changed for 90 days", "cloud.google.com/bigquery/pricing", "10 GiB"),
    "bigquery_query": Price(6.25, "TiB that queries read", "coconote.app, BigQuery pricing, 2025", "1 TiB"),
    "secret": Price(0.06, "active version and month", "cloud.google.com/secret-manager/pricing", "6"),
    "registry": Price(0.10, "GB-month of images", "cloud.google.com/artifact-registry/pricing", "0.5 GB"),
    "logging": Price(0.50, "GiB of logs", "cloud.google.com/stackdriver/pricing", "50 GiB a project"),
    "alert": Price(0.10, "metric condition and month (announced in 2025: 1.50)", "assumption"),
    "sql_cpu": Price(0.0413, "vCPU-hour, Cloud SQL Enterprise; twice with a standby", "usage.ai, May 2026"),
    "sql_memory": Price(0.007, "GiB-hour, Cloud SQL Enterprise; twice with a standby", "usage.ai, May 2026"),
    "sql_disk": Price(0.17, "GiB-month, Cloud SQL SSD; twice with a standby", "assumption"),
    "redis": Price(0.064, "GiB-hour, Memorystore Standard, up to 4 GiB", "assumption"),
    "connector": Price(0.0084, "hour of an e2-micro of a VPC connector", "assumption"),
    "balancer": Price(0.025, "hour of forwarding rules", "Google's load balancing prices, Iowa"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """What one request is taken to be."""

    name: str
    seconds: float
    sent_bytes: int  # to the internet: the request to OpenAI and the answer to the client


CALLS = (
    Call("unary, 2 s", 2, 8_000),
    Call("stream, 15 s", 15, 4_000 + 15 * 50 * 300),  # 50 chunks/s of 300 bytes
)
CONCURRENCY = (1, 20, 80)

CPU, MEMORY_GIB = 1, 0.5  # terraform/variables.tf: functions
EVENTS = 2  # started and finished (docs/adr/0002)
STARTED_EVENT, FINISHED_EVENT = 810, 1_160  # bytes of a message: tests/unit/test_reporting_page.py counts them
EVENT_BYTES = (max(STARTED_EVENT, 1_000) + FINISHED_EVENT) // 2  # less than 1 kB counts as 1 kB
SINK_SECONDS = 0.3  # a push that waits for its group's write (at most 0.2 s) and the write
SINK_CONCURRENCY = 40  # terraform/variables.tf
STARTED_BYTES, FINISHED_BYTES = 260, 1_110  # logical bytes of a row, as docs/reporting.md counts them
ROW_BYTES = (STARTED_BYTES + FINISHED_BYTES) // 2
# What a question of the page reads of a finished and of a started row, in bytes: of the columns that it names, and of
# those by which usage() picks the final row. tests/unit/test_reporting_page.py counts them
QUESTIONS = {
    "sums by day and model": (197, 116),
    "sums of the period before": (162, 104),
    "sums by user": (176, 118),
    "sums by team": (172, 114),
    "sums by key": (176, 118),
    "sums by operation": (168, 110),
    "latencies by day": (111, 94),
    "a list of requests": (1_107, 262),
}
LEAST_BYTES = 10_000_000  # a query is billed as reading at least so much
YEARLY = MILLION  # requests of the team whose views are counted
LOG_BYTES = 1_000  # the platform's line for a request; the proxy writes none of its own when all is well
IMAGE_GB = 0.2  # one function's image, compressed
VERSIONS = 5  # three first versions, OpenAI's key, the access file
CONDITIONS = 2  # dead letters, errors; the others match log lines


def price(name: str) -> float:
    """One list price."""
    return PRICES[name].amount


def run(seconds: float, requests: float) -> float:
    """Cloud Run, request-based: instance seconds and requests."""
    held = CPU * price("run_cpu") + MEMORY_GIB * price("run_memory")
    return seconds * held + requests / MILLION * price("run_requests")


def per_million(call: Call, concurrency: int) -> dict[str, float]:
    """A million calls, `concurrency` of them at a time in each busy instance, without what is free."""
    rate = concurrency / call.seconds  # requests a second of one busy proxy instance
    together = min(SINK_CONCURRENCY, max(1.0, rate * EVENTS * SINK_SECONDS))  # Little's law
    events = MILLION * EVENTS
    return {
        "proxy": run(MILLION * call.seconds / concurrency, MILLION),
        "usage_sink": run(events * SINK_SECONDS / together, events),
        "Pub/Sub": events * 2 * EVENT_BYTES / 2**40 * price("pubsub"),
        "BigQuery, writing": MILLION * (max(STARTED_BYTES, 1_000) + FINISHED_BYTES) / 200e6 * price("bigquery_insert"),
        "logs": (MILLION + events) * LOG_BYTES / GIB * price("logging"),
        "to the internet": MILLION * call.sent_bytes / GIB * price("egress"),
    }


def idle() -> dict[str, float]:
    """A month in which nobody calls, without what is free."""
    return {
        "functions, topics, subscriptions, table": 0.0,
        f"{VERSIONS} secret versions": VERSIONS * price("secret"),
        "three images": 3 * IMAGE_GB * price("registry"),
        f"{CONDITIONS} metric conditions": CONDITIONS * price("alert"),
    }


def litellm_idle() -> dict[str, float]:
    """A month of LiteLLM's own Terraform module for Google Cloud with its defaults, when nobody calls."""
    seconds = HOURS * 3600
    machine = 2 * price("sql_cpu") + 7.5 * price("sql_memory")  # db-custom-2-7680
    return {
        "gateway and backend: 1 vCPU, 4 GiB, one instance each": 2
        * seconds
        * (price("run_cpu_always") + 4 * price("run_memory_always")),
        "UI: 1 vCPU, 512 MiB, one instance": seconds * (price("run_cpu_always") + 0.5 * price("run_memory_always")),
        "Cloud SQL db-custom-2-7680 with a standby, 20 GiB": 2 * (HOURS * machine + 20 * price("sql_disk")),
        "its read replica, 20 GiB": HOURS * machine + 20 * price("sql_disk"),
        "Memorystore Standard, 1 GiB": HOURS * price("redis"),
        "VPC connector, two e2-micro": HOURS * 2 * price("connector"),
        "load balancer": HOURS * price("balancer"),
    }


def ledger(millions: int) -> tuple[float, float]:
    """GiB that a year of so many requests a month leaves, and what a month of it costs without what is free."""
    monthly = millions * MILLION * EVENTS * ROW_BYTES / GIB
    return 12 * monthly, monthly * (3 * price("bigquery_active") + 9 * price("bigquery_long"))


def views(yearly: int) -> list[tuple[str, ...]]:
    """MB that each question reads for views of 1, 7 and 30 days, and what a thousand of the longest cost."""
    rows = []
    for name, (finished, started) in QUESTIONS.items():
        read = [(finished + started) * yearly * days / 365 for days in (1, 7, 30)]
        dollars = 1_000 * max(read[-1], LEAST_BYTES) / 2**40 * price("bigquery_query")
        cells = [f"{one / 1e6:,.1f}" if one < LEAST_BYTES else f"**{one / 1e6:,.1f}**" for one in read]
        rows.append((name, f"{finished + started}", *cells, money(dollars)))
    return rows


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; all columns but the first to the right."""
    rule = ("---", *("---:" for _ in head[1:]))
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def money(amount: float) -> str:
    """Dollars and cents."""
    return f"${amount:,.2f}"


def sums(parts: dict[str, float]) -> list[tuple[str, ...]]:
    """The parts and their sum."""
    total = ("**sum**", f"**{money(sum(parts.values()))}**")
    return [*((name, money(amount)) for name, amount in parts.items()), total]


def page() -> str:
    """The whole of docs/cost.md."""
    columns = [per_million(call, concurrency) for call in CALLS for concurrency in CONCURRENCY]
    head = tuple(f"{call.name}, {concurrency} at a time" for call in CALLS for concurrency in CONCURRENCY)
    rows = [(part, *(money(column[part]) for column in columns)) for part in columns[0]]
    rows.append(("**sum**", *(f"**{money(sum(column.values()))}**" for column in columns)))
    years = [(f"{millions} million", *ledger(millions)) for millions in (1, 10, 100)]
    grown = [(requests, f"{gib:,.1f} GiB", money(monthly)) for requests, gib, monthly in years]
    warm = HOURS * 3600 * (CPU + MEMORY_GIB) * price("run_idle")
    listed = [
        (one.unit, f"${one.amount:.10f}".rstrip("0").rstrip("."), one.free or "none", one.source)
        for one in PRICES.values()
    ]
    assumed = sum(one.source == "assumption" for one in PRICES.values())
    head_of_views = ("MB that a question reads", "bytes a request", "1 day", "7 days", "30 days", "1,000 of 30 days")
    least = LEAST_BYTES // MILLION
    views_free = 2**40 * 365 // (sum(map(sum, QUESTIONS.values())) * YEARLY * 30)
    steady_always = HOURS * 3600 * (CPU * price("run_cpu_always") + MEMORY_GIB * price("run_memory_always"))
    steady = HOURS * 3600 * (CPU * price("run_cpu") + MEMORY_GIB * price("run_memory"))
    return f"""# What it costs to own

Printed by `python deploy/cost.py >docs/cost.md`; a test compares. List prices in US dollars, us-central1, read in
stored copies of the pages named below on {READ}. Nothing here was measured on a bill. What OpenAI charges is not
in it.

## A month in which nobody calls

{table(("", "a month"), sums(idle()))}

Without what is free; with it, the secrets and most of the images cost nothing. One proxy instance kept warm
(`functions = {{ proxy = {{ min_instances = 1 }} }}`) adds {money(warm)}. Every `make access` leaves one secret version
more, at {money(price("secret"))} a month: docs/deploy.md says how to destroy old ones.

## A million requests

{table(("", *head), rows)}

Without what is free each month, which covers a small team: 180,000 vCPU-seconds are 90,000 unary calls one at a time.

"At a time" is how many requests share an instance while it is busy, on average. The limit is a setting
(`functions.proxy.concurrency`, 80 by default), the average is your traffic. It decides nearly everything: an instance
is billed while it serves at least one request, and waiting for a model is serving.

Assumed:

- The proxy and the sink have {CPU} vCPU and {MEMORY_GIB * 1024:.0f} MiB each.
- {EVENTS} events a request, of {STARTED_EVENT} and {FINISHED_EVENT:,} bytes, published once and pushed once; no
  redelivery.
- A push takes {SINK_SECONDS} s, most of it waiting for its group to be written. The sink is as busy as the proxy's
  traffic makes it, with {SINK_CONCURRENCY} pushes at a time at most.
- One line of {LOG_BYTES:,} bytes in the platform's log for each request and each push.
- To the internet go the request to OpenAI and the answer to the client: {CALLS[0].sent_bytes:,} bytes for a unary call,
  {CALLS[1].sent_bytes:,} for a stream (50 chunks/s of 300 bytes).
- Nobody looks at the page: what that costs stands below.
- Nobody has a budget: docs/budgets.md says what its questions cost.

## The ledger

{table(("requests a month", "after a year", "a month of storage then"), grown)}

{EVENTS} rows a request of {ROW_BYTES} logical bytes; partitions older than 90 days cost half. 10 GiB are free.

## A view of the page

{table(head_of_views, views(YEARLY))}

For {YEARLY:,} requests a year. A question reads the partitions of its period, and in them the columns that it names and
those by which one final row a request is picked (docs/adr/0007-bigquery-append-and-pick.md). BigQuery bills
{least} MB for less than that, and what is more stands in bold: of 30 days that is every question, since the ids and
times that pick the final rows are more by themselves. A filter by a column that is not summed up adds that column.

A list has all that is known of each request, whichever page of it is asked for; one request in detail reads a single
day. The first TiB of a month is free: {views_free:,} views of 30 days with all of these questions. `MAX_QUERY_BYTES`
is a limit for each question.

## Beside LiteLLM

As its own documents deploy it on Google Cloud: the Terraform module of
[its page](https://docs.litellm.ai/docs/proxy/deploy/terraform), `terraform/litellm/gcp` of BerriAI/litellm with its
defaults (`variables.tf` at 07e8a9b, `cloudsql.tf` at 195342d, `network.tf` at 1493be3). Its services set resources
without `cpu_idle`, which is instance-based billing.

{table(("a month in which nobody calls", ""), sums(litellm_idle()))}

For AWS, the README of `aws-solutions-library-samples/guidance-for-multi-provider-generative-ai-gateway-on-aws` states
$378.10 (ECS) and $384.83 (EKS) a month. Both buy what this project does not have: other providers, a database that
answers in milliseconds, a user interface for administrators. Both can be made smaller by hand. And under a load that
keeps an instance busy day and night, one that is always there is cheaper than one billed by request:
{money(steady_always)} against {money(steady)} a month for the same size.

## Prices

{table(("for a", "price", "free a month", "read in"), listed)}

{assumed} of them are assumptions: known in general, found in no page that could be read. Look before you rely on them.
"""


if __name__ == "__main__":
    print(page(), end="")
