"""Totals in Prometheus' text format: for a command, and for a view without prometheus_client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from continuum_upstash.observe import BUDGET_STAGES, BudgetStatus
from continuum_upstash.stats.exporters.metrics import (
    BREAKER_STATE,
    BUDGET_RATIO,
    BUDGET_STAGE,
    COMMANDS_RATIO,
    LATENCY,
    MEMORY_RATIO,
    PREFIX,
    STATES,
    TEXT_COUNTERS,
    Metric,
)
from continuum_upstash.stats.totals import BOUNDS, Totals


@dataclass(frozen=True, slots=True)
class AliasMetrics:
    """What is shown for one alias; None: unknown.

    Attributes:
        totals: of any period: counters may restart, with a process or at midnight UTC.
        state: of the circuit breaker in this process.
        memory_ratio: the used fraction of the memory limit.
        commands_ratio: the used fraction of the pricing plan's commands of this month.
        budget: how much of the month's budget is used, as far as this process knows.
    """

    totals: Totals | None
    state: str | None
    memory_ratio: float | None = None
    commands_ratio: float | None = None
    budget: BudgetStatus | None = None


def render_text(aliases: Mapping[str, AliasMetrics]) -> str:
    """Return the metrics of all aliases."""
    known = {alias: each.totals for alias, each in aliases.items() if each.totals is not None}
    lines = [line for metric in TEXT_COUNTERS for line in _render_counter(metric, known)]
    return "\n".join([*lines, *_render_latency(known), *_render_gauges(aliases)])


def _render_counter(metric: Metric, known: Mapping[str, Totals]) -> Iterator[str]:
    yield from _render_header(metric)
    for alias, totals in known.items():
        value = getattr(totals, metric.totals)
        if not metric.entry:
            yield _render_sample(metric.name, value, alias=alias)
            continue
        for entry, count in sorted(value.items()):
            yield _render_sample(metric.name, count, **{"alias": alias, metric.entry: entry})


def _render_latency(known: Mapping[str, Totals]) -> Iterator[str]:
    yield from _render_header(LATENCY)
    bounds = [*map(str, BOUNDS), "+Inf"]
    for alias, totals in known.items():
        for bound, count in zip(bounds, accumulate(totals.latency), strict=True):
            yield _render_sample(f"{LATENCY.name}_bucket", count, alias=alias, le=bound)
        yield _render_sample(f"{LATENCY.name}_sum", totals.seconds, alias=alias)
        yield _render_sample(f"{LATENCY.name}_count", totals.batches, alias=alias)


def _render_gauges(aliases: Mapping[str, AliasMetrics]) -> Iterator[str]:
    yield from _render_header(BREAKER_STATE)
    for alias, each in aliases.items():
        for state in STATES if each.state else ():
            value = int(state == each.state)
            yield _render_sample(BREAKER_STATE.name, value, alias=alias, state=state)
    budgets = {alias: each.budget for alias, each in aliases.items() if each.budget}
    if budgets:
        yield from _render_header(BUDGET_STAGE)
    for alias, budget in budgets.items():
        for stage in BUDGET_STAGES:
            value = int(stage == budget.stage)
            yield _render_sample(BUDGET_STAGE.name, value, alias=alias, stage=stage)
    used = {alias: budget.used_ratio for alias, budget in budgets.items()}
    memory = {alias: each.memory_ratio for alias, each in aliases.items()}
    commands = {alias: each.commands_ratio for alias, each in aliases.items()}
    gauges: list[tuple[Metric, Mapping[str, float | None]]] = [
        (MEMORY_RATIO, memory),
        (COMMANDS_RATIO, commands),
        *([(BUDGET_RATIO, used)] if used else []),
    ]
    for metric, ratios in gauges:
        yield from _render_header(metric)
        for alias, ratio in ratios.items():
            if ratio is not None:
                yield _render_sample(metric.name, ratio, alias=alias)


def _render_header(metric: Metric) -> Iterator[str]:
    yield f"# HELP {PREFIX}{metric.name} {metric.help}"
    yield f"# TYPE {PREFIX}{metric.name} {metric.kind}"


def _render_sample(name: str, value: float, **labels: str) -> str:
    text = ",".join(f'{label}="{_escape(each)}"' for label, each in labels.items())
    return f"{PREFIX}{name}{{{text}}} {value}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
