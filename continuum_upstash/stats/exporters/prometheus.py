"""Prometheus metrics; needs ``pip install continuum-upstash[prometheus]``.

The metrics are prometheus_client's own and not a custom Collector, which multiprocess mode does not
support: with PROMETHEUS_MULTIPROC_DIR the metrics of all workers add up, including those of workers
that have exited.
"""

from __future__ import annotations

import atexit
import os
from functools import cache
from typing import Final, Literal

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from continuum_upstash import __version__
from continuum_upstash.observe import (
    BUDGET_STAGES,
    BudgetChange,
    BudgetStatus,
    Coalesced,
    CommandDetails,
    JobEnded,
    LimitDecided,
    NearRead,
    ProtectedRead,
    Record,
    StateChange,
    ValueDiscarded,
    subscribe,
)
from continuum_upstash.plans.billing import count_billed, count_billed_in_batch
from continuum_upstash.protocol import Command, Reply
from continuum_upstash.stats.conf import MULTIPROC_DIR
from continuum_upstash.stats.exporters.metrics import (
    BILLED,
    BREAKER_STATE,
    BUDGET_RATIO,
    BUDGET_STAGE,
    BUILD_INFO,
    CLIENT_COUNTERS,
    COALESCED,
    COMMANDS,
    COMMANDS_RATIO,
    DECISIONS,
    DISCARDED,
    ERRORS,
    HITS,
    JOB_SECONDS,
    JOBS,
    LATENCY,
    MEMORY_RATIO,
    MISSES,
    NEAR_HITS,
    NEAR_SAVED,
    OVERHEAD,
    PREFIX,
    PROTECTED_READS,
    REQUESTS,
    STATE_CHANGES,
    STATES,
    Metric,
)
from continuum_upstash.stats.labels import (
    LOCAL,
    classify_reply,
    count_hits,
    get_operation,
    is_failure,
    select_values,
)
from continuum_upstash.stats.shared.schema import is_overhead
from continuum_upstash.stats.totals import BOUNDS
from continuum_upstash.transports.registry import list_databases

# How multiprocess mode combines the values of several processes.
_GAUGE_MODES: Final[dict[Metric, Literal["livemax", "livemostrecent"]]] = {
    BREAKER_STATE: "livemax",
    BUDGET_STAGE: "livemax",
    BUDGET_RATIO: "livemostrecent",
    MEMORY_RATIO: "livemostrecent",
    COMMANDS_RATIO: "livemostrecent",
    BUILD_INFO: "livemax",  # prometheus_client.Info does not work in multiprocess mode
}


_JOB_BOUNDS: Final = (0.01, 0.1, 1, 10, 60, 600)  # seconds


class PrometheusObserver:
    """Records the metrics of one registry; an observer.

    Raises:
        ValueError: the registry has these metrics already.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._counters = {
            metric.name: Counter(
                PREFIX + metric.name, metric.help, metric.labels, registry=registry
            )
            for metric in CLIENT_COUNTERS
        }
        self._gauges = {
            metric.name: Gauge(
                PREFIX + metric.name,
                metric.help,
                metric.labels,
                registry=registry,
                multiprocess_mode=mode,
            )
            for metric, mode in _GAUGE_MODES.items()
        }
        self._latency = Histogram(
            PREFIX + LATENCY.name, LATENCY.help, LATENCY.labels, buckets=BOUNDS, registry=registry
        )
        self._job_seconds = Histogram(
            PREFIX + JOB_SECONDS.name,
            JOB_SECONDS.help,
            JOB_SECONDS.labels,
            buckets=_JOB_BOUNDS,
            registry=registry,
        )
        self.set_gauge(BUILD_INFO, 1, __version__)

    def __call__(self, record: Record) -> None:
        if isinstance(record, CommandDetails):
            self._record_batch(record)
        elif isinstance(record, StateChange):
            self._count(STATE_CHANGES, 1, record.alias, record.old, record.new)
            self.set_state(record.alias, record.new)
        elif isinstance(record, BudgetChange):
            self._set_stage(record.alias, record.new)
        elif isinstance(record, Coalesced):
            self._count(COALESCED, record.batches, record.alias)
        elif isinstance(record, NearRead):
            self._count(NEAR_HITS, record.hits, record.alias)
            self._count(NEAR_SAVED, record.saved_commands, record.alias)
        elif isinstance(record, ValueDiscarded):
            self._count(DISCARDED, 1, record.alias, record.kind)
        elif isinstance(record, ProtectedRead):
            self._count(PROTECTED_READS, 1, record.alias, record.result)
        elif isinstance(record, LimitDecided):
            self._count(DECISIONS, 1, record.alias, record.policy, record.outcome)
        elif isinstance(record, JobEnded):
            self._count(JOBS, 1, record.alias, record.queue, record.outcome)
            self._job_seconds.labels(record.alias, record.queue).observe(record.seconds)

    def set_state(self, alias: str, current: str) -> None:
        for state in STATES:
            self.set_gauge(BREAKER_STATE, state == current, alias, state)

    def set_budget(self, alias: str, status: BudgetStatus) -> None:
        self._set_stage(alias, status.stage)
        self.set_gauge(BUDGET_RATIO, status.used_ratio, alias)

    def _set_stage(self, alias: str, current: str) -> None:
        for stage in BUDGET_STAGES:
            self.set_gauge(BUDGET_STAGE, stage == current, alias, stage)

    def set_gauge(self, metric: Metric, value: float, *labels: str) -> None:
        self._gauges[metric.name].labels(*labels).set(value)

    def _count(self, metric: Metric, amount: int, *labels: str) -> None:
        self._counters[metric.name].labels(*labels).inc(amount)

    def _record_batch(self, details: CommandDetails) -> None:
        alias, backend = details.alias, details.backend
        if is_overhead(details.commands):
            self._count(OVERHEAD, count_billed_in_batch(details), alias)
            return
        self._count(REQUESTS, 1, alias, backend)
        operation = get_operation(details.commands)
        self._latency.labels(alias, operation, backend).observe(details.seconds)
        if details.error is not None:
            self._count(ERRORS, 1, alias, type(details.error).__name__)
            return
        for command, reply in zip(details.commands, details.replies, strict=True):
            self._record_command(alias, backend, command, reply)

    def _record_command(self, alias: str, backend: str, command: Command, reply: Reply) -> None:
        name, values = str(command[0]).upper(), select_values(command, reply)
        self._count(COMMANDS, 1, alias, name, classify_reply(name, values))
        if is_failure(reply):
            self._count(ERRORS, 1, alias, type(reply).__name__)
        for metric, keys in zip((HITS, MISSES), count_hits(name, values), strict=True):
            if keys:
                self._count(metric, keys, alias, name)
        if backend != LOCAL:
            self._count(BILLED, count_billed(name, command, reply), alias)


@cache
def get_observer() -> PrometheusObserver:
    """Return the observer of the default registry.

    A forked child keeps it: its registry is the parent's copy, and has the metrics already.
    """
    if MULTIPROC_DIR in os.environ:
        atexit.register(_mark_process_dead)
    return PrometheusObserver()


def _mark_process_dead() -> None:
    """Remove this process's gauges at exit; they would be stale."""
    multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]  # its own


def start() -> None:
    """Record metrics from now on."""
    subscribe(get_observer())


def render() -> bytes:
    """Return the text that Prometheus reads; in multiprocess mode that of all processes."""
    for database in list_databases():
        alias, status = database.config.alias, database.status
        get_observer().set_state(alias, status.state)
        if status.budget is not None:
            get_observer().set_budget(alias, status.budget)
    if MULTIPROC_DIR not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # its own
    return generate_latest(registry)
