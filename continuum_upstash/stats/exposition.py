"""Sums as Prometheus' text format, for whoever scrapes a file or a view instead of processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final

from continuum_upstash.stats.latency import BOUNDS
from continuum_upstash.stats.tally import Tally

PREFIX: Final = "continuum_"

_COUNTERS: Final = (
    ("cache_hits_total", "Keys that a read found.", "hits"),
    ("cache_misses_total", "Keys that a read did not find.", "misses"),
    ("cache_sets_total", "Values that were stored.", "sets"),
    ("cache_billed_commands_total", "Commands that the service bills.", "billed"),
    ("cache_statistics_commands_total", "Billed commands of the statistics.", "overhead"),
    ("cache_saved_requests_total", "Requests that coalescing saved.", "coalesced"),
)


def exposition(tallies: Mapping[str, Tally]) -> str:
    """Return counters and the latency histogram of each alias.

    Sums begin anew at midnight UTC or with a process, as a counter may.
    """
    return "\n".join(_lines(tallies))


def _lines(tallies: Mapping[str, Tally]) -> Iterator[str]:
    for name, text, field in _COUNTERS:
        yield from _head(name, text, "counter")
        for alias, tally in tallies.items():
            yield f'{PREFIX}{name}{{alias="{_escaped(alias)}"}} {getattr(tally, field)}'
    yield from _head("cache_errors_total", "Errors by class.", "counter")
    for alias, tally in tallies.items():
        for kind, count in sorted(tally.errors.items()):
            labels = f'alias="{_escaped(alias)}",error="{kind}"'
            yield f"{PREFIX}cache_errors_total{{{labels}}} {count}"
    yield from _head("cache_latency_seconds", "Duration of a round trip.", "histogram")
    for alias, tally in tallies.items():
        yield from _histogram(_escaped(alias), tally)


def _histogram(alias: str, tally: Tally) -> Iterator[str]:
    name = f"{PREFIX}cache_latency_seconds"
    bounds = [*map(str, BOUNDS), "+Inf"]
    for bound, count in zip(bounds, accumulate(tally.latency), strict=True):
        yield f'{name}_bucket{{alias="{alias}",le="{bound}"}} {count}'
    yield f'{name}_sum{{alias="{alias}"}} {tally.seconds}'
    yield f'{name}_count{{alias="{alias}"}} {tally.batches}'


def _head(name: str, text: str, kind: str) -> Iterator[str]:
    yield f"# HELP {PREFIX}{name} {text}"
    yield f"# TYPE {PREFIX}{name} {kind}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
