"""The table of Prometheus metrics, for both forms.

The text form (`prometheus_text`) shows Totals, which are counted by alias. The metrics of
prometheus_client (`prometheus`) are recorded one by one and have more labels.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

PREFIX: Final = "continuum_"
STATES: Final = ("closed", "open", "half_open", "forced_open", "disabled")


class Metric(NamedTuple):
    """One row of the table.

    Attributes:
        name: without PREFIX.
        help: one sentence.
        labels: those of prometheus_client, in order.
        totals: the attribute of Totals that the text form shows.
        entry: the label for the entries of that attribute, if it is a dict.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ("alias",)
    totals: str = ""
    entry: str = ""


# fmt: off
HITS: Final = Metric(
    "cache_hits_total", "counter", "Keys that a read found.", ("alias", "operation"), "hits")
MISSES: Final = Metric(
    "cache_misses_total", "counter", "Keys that a read did not find.", ("alias", "operation"),
    "misses")
NEAR_HITS: Final = Metric(
    "cache_near_hits_total", "counter", "Keys that a read found in the near cache.",
    totals="near_hits")
NEAR_SAVED: Final = Metric(
    "cache_near_saved_commands_total", "counter",
    "Commands that were not sent because the near cache had all keys.", totals="near_saved")
LOCAL_COMMANDS: Final = Metric(
    "cache_local_commands_total", "counter",
    "Commands that the local store served in place of the database.", totals="local_commands")
SETS: Final = Metric("cache_sets_total", "counter", "Stored values.", totals="sets")
REQUESTS: Final = Metric(
    "cache_requests_total", "counter", "Round trips, and batches served by the local store.",
    ("alias", "backend"), "batches")
BILLED: Final = Metric(
    "cache_billed_commands_total", "counter",
    "Billed commands, without those of the shared statistics.", totals="billed")
OVERHEAD: Final = Metric(
    "cache_statistics_commands_total", "counter", "Billed commands of the shared statistics.",
    totals="overhead")
COALESCED: Final = Metric(
    "cache_saved_requests_total", "counter",
    "Requests saved by combining async commands of one event-loop tick.", totals="coalesced")
COMMANDS: Final = Metric(
    "cache_commands_total", "counter", "Completed commands.", ("alias", "operation", "result"),
    "commands", "operation")
ERRORS: Final = Metric(
    "cache_errors_total", "counter", "Failed round trips and commands, by exception class.",
    ("alias", "error"), "errors", "error")
DISCARDED: Final = Metric(
    "cache_discarded_values_total", "counter",
    "Values that were not stored or not decoded, by kind: full, too_large, undecodable.",
    ("alias", "kind"), "discarded", "kind")
PROTECTED_READS: Final = Metric(
    "cache_protected_reads_total", "counter",
    "Calls of get_or_set with stampede protection, by result: early, stale, waited.",
    ("alias", "result"), "protected_reads", "result")
STATE_CHANGES: Final = Metric(
    "cache_state_changes_total", "counter", "Changes of the circuit breaker's state.",
    ("alias", "old", "new"))
DECISIONS: Final = Metric(
    "ratelimit_decisions_total", "counter", "Decisions of rate limits.",
    ("alias", "policy", "outcome"))
JOBS: Final = Metric(
    "queue_jobs_total", "counter",
    "Ended attempts of jobs, by outcome: done, retried, dead, released, lost.",
    ("alias", "queue", "outcome"))
JOB_SECONDS: Final = Metric(
    "queue_job_seconds", "histogram", "Duration of an attempt of a job.", ("alias", "queue"))
LATENCY: Final = Metric(
    "cache_latency_seconds", "histogram", "Duration of a round trip.",
    ("alias", "operation", "backend"))
BREAKER_STATE: Final = Metric(
    "cache_breaker_state", "gauge", "1 for the current state of the circuit breaker.",
    ("alias", "state"))
MEMORY_RATIO: Final = Metric(
    "cache_memory_used_ratio", "gauge", "Used memory as a fraction of the limit.")
COMMANDS_RATIO: Final = Metric(
    "cache_commands_used_ratio", "gauge",
    "The month's commands as a fraction of the pricing plan's limit.")
BUDGET_STAGE: Final = Metric(
    "cache_budget_stage", "gauge", "1 for the current stage of the month's budget.",
    ("alias", "stage"))
BUDGET_RATIO: Final = Metric(
    "cache_budget_used_ratio", "gauge", "The month's commands as a fraction of the budget.")
BUILD_INFO: Final = Metric("build_info", "gauge", "1 for the running version.", ("version",))

TEXT_COUNTERS: Final = (
    HITS, MISSES, NEAR_HITS, NEAR_SAVED, SETS, REQUESTS, BILLED, OVERHEAD, COALESCED, COMMANDS,
    LOCAL_COMMANDS, ERRORS, DISCARDED, PROTECTED_READS,
)
CLIENT_COUNTERS: Final = (
    HITS, MISSES, NEAR_HITS, NEAR_SAVED, REQUESTS, BILLED, OVERHEAD, COALESCED, COMMANDS, ERRORS,
    DISCARDED, PROTECTED_READS, STATE_CHANGES, DECISIONS, JOBS,
)
# fmt: on
