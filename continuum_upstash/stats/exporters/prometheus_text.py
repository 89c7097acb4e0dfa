"""Sums as Prometheus' text format, for whoever scrapes a file or a view instead of processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, TypeAlias

from continuum_upstash.stats.totals import BOUNDS, Tally

PREFIX: Final = "continuum_"
STATES: Final = ("closed", "open", "half_open", "forced_open", "disabled")

_COUNTERS: Final = (
    ("cache_hits_total", "Keys that a read found.", "hits"),
    ("cache_misses_total", "Keys that a read did not find.", "misses"),
    ("cache_sets_total", "Values that were stored.", "sets"),
    ("cache_requests_total", "Round trips and local answers.", "batches"),
    ("cache_billed_commands_total", "Commands that the service bills.", "billed"),
    ("cache_statistics_commands_total", "Billed commands of the statistics.", "overhead"),
    ("cache_saved_requests_total", "Requests that coalescing saved.", "coalesced"),
)
_GAUGES: Final = (
    ("cache_memory_used_ratio", "Memory against its limit.", "memory"),
    ("cache_commands_used_ratio", "The month's commands of the plan.", "commands"),
)


@dataclass(frozen=True, slots=True)
class Known:
    """What is told of one alias; None: nobody knows.

    Attributes:
        sums: of whatever time.
        state: of the breaker of the process that tells.
        memory: the share of its limit that is used.
        commands: the share of the plan's that the month has used.
    """

    sums: Tally | None
    state: str | None
    memory: float | None = None
    commands: float | None = None


_Sums: TypeAlias = Mapping[str, Tally]


def exposition(known: Mapping[str, Known]) -> str:
    """Return the metrics of each alias.

    Sums begin anew at midnight UTC or with a process, as a counter may.
    """
    told = {_escaped(alias): each for alias, each in known.items()}
    sums = {alias: each.sums for alias, each in told.items() if each.sums is not None}
    return "\n".join([*_counters(sums), *_histograms(sums), *_gauges(told)])


def _counters(sums: _Sums) -> Iterator[str]:
    for name, text, field in _COUNTERS:
        yield from _head(name, text, "counter")
        for alias, tally in sums.items():
            yield f'{PREFIX}{name}{{alias="{alias}"}} {getattr(tally, field)}'
    yield from _head("cache_commands_total", "Answered commands.", "counter")
    for alias, tally in sums.items():
        for name, count in sorted(tally.commands.items()):
            labels = f'alias="{alias}",operation="{_escaped(name)}"'
            yield f"{PREFIX}cache_commands_total{{{labels}}} {count}"
    yield from _head("cache_errors_total", "Errors by class.", "counter")
    for alias, tally in sums.items():
        for kind, count in sorted(tally.errors.items()):
            labels = f'alias="{alias}",error="{kind}"'
            yield f"{PREFIX}cache_errors_total{{{labels}}} {count}"


def _gauges(told: Mapping[str, Known]) -> Iterator[str]:
    yield from _head("cache_breaker_state", "1 for the breaker's state.", "gauge")
    for alias, each in told.items():
        for state in STATES if each.state else ():
            labels = f'alias="{alias}",state="{state}"'
            yield f"{PREFIX}cache_breaker_state{{{labels}}} {int(state == each.state)}"
    for name, text, field in _GAUGES:
        yield from _head(name, text, "gauge")
        for alias, each in told.items():
            if (share := getattr(each, field)) is not None:
                yield f'{PREFIX}{name}{{alias="{alias}"}} {share}'


def _histograms(sums: _Sums) -> Iterator[str]:
    yield from _head("cache_latency_seconds", "Duration of a round trip.", "histogram")
    name = f"{PREFIX}cache_latency_seconds"
    bounds = [*map(str, BOUNDS), "+Inf"]
    for alias, tally in sums.items():
        for bound, count in zip(bounds, accumulate(tally.latency), strict=True):
            yield f'{name}_bucket{{alias="{alias}",le="{bound}"}} {count}'
        yield f'{name}_sum{{alias="{alias}"}} {tally.seconds}'
        yield f'{name}_count{{alias="{alias}"}} {tally.batches}'


def _head(name: str, text: str, kind: str) -> Iterator[str]:
    yield f"# HELP {PREFIX}{name} {text}"
    yield f"# TYPE {PREFIX}{name} {kind}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
