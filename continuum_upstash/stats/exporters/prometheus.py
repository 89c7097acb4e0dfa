"""Prometheus metrics; needs ``pip install continuum-upstash[prometheus]``.

Only Counter, Histogram and Gauge are used, in the forms that work in multiprocess mode: with
PROMETHEUS_MULTIPROC_DIR the figures of all workers add up, those of workers that died included.
"""

from __future__ import annotations

import atexit
import os
from functools import cache
from typing import Final

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
    Coalesced,
    CommandDetails,
    LimitDecided,
    Record,
    StateChange,
    subscribe,
)
from continuum_upstash.protocol import Command, Reply
from continuum_upstash.stats.billing import billed, count_billed
from continuum_upstash.stats.conf import FOLDER
from continuum_upstash.stats.exporters.prometheus_text import PREFIX, STATES
from continuum_upstash.stats.labels import failed, operation, result
from continuum_upstash.stats.shared.schema import is_write
from continuum_upstash.stats.totals import BOUNDS
from continuum_upstash.transports.registry import list_databases

_LOCAL: Final = "local"


class Metrics:
    """The metrics of one registry; an observer.

    Raises:
        ValueError: the registry has them already.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(PREFIX + name, text, ("alias", *labels), registry=registry)

        def gauge(name: str, text: str, *labels: str, mode: str) -> Gauge:
            return Gauge(PREFIX + name, text, labels, registry=registry, multiprocess_mode=mode)  # type: ignore[arg-type]  # one of its modes

        self._hits = counter("cache_hits", "Keys that a read found.", "operation")
        self._misses = counter("cache_misses", "Keys that a read did not find.", "operation")
        self._commands = counter("cache_commands", "Answered commands.", "operation", "result")
        self._billed = counter("cache_billed_commands", "Commands that the service bills.")
        self._overhead = counter(
            "cache_statistics_commands", "Billed commands of the statistics themselves."
        )
        self._errors = counter("cache_errors", "Failed batches and commands.", "error")
        self._requests = counter("cache_requests", "Round trips and local answers.", "backend")
        self._saved = counter("cache_saved_requests", "Requests that coalescing saved.")
        self._changes = counter("cache_state_changes", "Changes of the breaker.", "old", "new")
        self._decisions = counter(
            "ratelimit_decisions", "What rate limits decided.", "policy", "outcome"
        )
        self._latency = Histogram(
            PREFIX + "cache_latency_seconds",
            "Duration of a round trip.",
            ("alias", "operation", "backend"),
            buckets=BOUNDS,
            registry=registry,
        )
        self.state = gauge(
            "cache_breaker_state", "1 for the breaker's state.", "alias", "state", mode="livemax"
        )
        self.memory = gauge(
            "cache_memory_used_ratio", "Memory against its limit.", "alias", mode="livemostrecent"
        )
        self.used = gauge(
            "cache_commands_used_ratio",
            "The month's commands of the plan.",
            "alias",
            mode="livemostrecent",
        )
        # Not prometheus_client.Info, which multiprocess mode does not know.
        build = gauge("build_info", "1 for the version that runs.", "version", mode="livemax")
        build.labels(__version__).set(1)

    def __call__(self, record: Record) -> None:
        if isinstance(record, CommandDetails):
            self._note(record)
        elif isinstance(record, StateChange):
            self._changes.labels(record.alias, record.old, record.new).inc()
            self.show_state(record.alias, record.new)
        elif isinstance(record, Coalesced):
            self._saved.labels(record.alias).inc(record.batches)
        elif isinstance(record, LimitDecided):
            self._decisions.labels(record.alias, record.policy, record.outcome).inc()

    def show_state(self, alias: str, current: str) -> None:
        for state in STATES:
            self.state.labels(alias, state).set(state == current)

    def _note(self, details: CommandDetails) -> None:
        alias, backend = details.alias, details.backend
        if is_write(details.commands):
            self._overhead.labels(alias).inc(count_billed(details))
            return
        self._requests.labels(alias, backend).inc()
        name = operation(details.commands)
        self._latency.labels(alias, name, backend).observe(details.seconds)
        if details.error is not None:
            self._errors.labels(alias, type(details.error).__name__).inc()
            return
        for command, reply in zip(details.commands, details.replies, strict=True):
            self._answered(alias, backend, command, reply)

    def _answered(self, alias: str, backend: str, command: Command, reply: Reply) -> None:
        name = str(command[0]).upper()
        outcome = result(name, reply)
        self._commands.labels(alias, name, outcome).inc()
        if failed(reply):
            self._errors.labels(alias, type(reply).__name__).inc()
        elif name == "MGET" and isinstance(reply, list):
            missing = reply.count(None)
            self._hits.labels(alias, name).inc(len(reply) - missing)
            self._misses.labels(alias, name).inc(missing)
        elif outcome in {"hit", "miss"}:
            (self._hits if outcome == "hit" else self._misses).labels(alias, name).inc()
        if backend != _LOCAL:
            self._billed.labels(alias).inc(billed(name, command, reply))


@cache
def metrics() -> Metrics:
    """Return those of the default registry, made once."""
    if FOLDER in os.environ:
        atexit.register(_leave)
    return Metrics()


def _leave() -> None:
    """Take this process' gauges along: what a command saw last is not how things are."""
    multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]  # its own


def start() -> None:
    """Measure from now on; twice is once."""
    subscribe(metrics())


def render() -> bytes:
    """Return the text that Prometheus reads: of all processes in multiprocess mode."""
    for each in list_databases():
        metrics().show_state(each.config.alias, each.status.state)
    if FOLDER not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # its own
    return generate_latest(registry)
