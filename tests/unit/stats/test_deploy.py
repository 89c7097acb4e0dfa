"""The dashboard and the alerts use existing metrics and labels."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from continuum_upstash.health.probe import MEMORY_WARN_RATIO
from continuum_upstash.observe import (
    BudgetStatus,
    Coalesced,
    CommandDetails,
    JobEnded,
    LimitDecided,
    NearRead,
    ProtectedRead,
    StateChange,
    ValueDiscarded,
)
from continuum_upstash.stats.exporters.metrics import COMMANDS_RATIO, MEMORY_RATIO
from continuum_upstash.stats.exporters.prometheus import PrometheusObserver
from continuum_upstash.stats.exporters.prometheus_text import AliasMetrics, render_text
from continuum_upstash.stats.pricing import PRICING_PLANS, WARN_RATIO
from continuum_upstash.stats.totals import Totals

ROOT = Path(__file__).parents[3]
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
REFERENCE = ROOT / "docs" / "reference" / "metrics.md"


BUDGET = BudgetStatus("warn", 8, 10, "80% used", 0.0)


@pytest.fixture(scope="module")
def series():
    """The labels of every series of prometheus_client, by name."""
    registry = CollectorRegistry()
    metrics = PrometheusObserver(registry)
    metrics(CommandDetails("a", "local", (("GET", "k"), ("GET", "k")), [b"1", None], 1, None))
    metrics(CommandDetails("a", "upstash-rest", (("GET", "k"),), [], 1, ValueError()))
    metrics(CommandDetails("a", "upstash-rest", (("SET", "k", b""),), [b"OK"], 1, None))
    metrics(Coalesced("a", "upstash-rest", 1))
    metrics(NearRead("a", 1, 1))
    write = (("HSET", "continuum:stats:a:2026031012", "30:p", b"{}"),)
    metrics(CommandDetails("a", "upstash-rest", write, [1], 1, None))
    metrics(StateChange("a", "closed", "open", "", "local", "upstash-rest"))
    metrics(LimitDecided("a", "api", "limited", allowed=False))
    metrics(ValueDiscarded("a", "full", "full"))
    metrics(ProtectedRead("a", "stale"))
    metrics(JobEnded("a", "mail", "done", 0.5, 1))
    metrics.set_gauge(MEMORY_RATIO, 1, "a")
    metrics.set_gauge(COMMANDS_RATIO, 1, "a")
    metrics.set_budget("a", BUDGET)
    return parse_series(generate_latest(registry).decode())


@pytest.fixture(scope="module")
def series_without_the_extra():
    """The labels of every series of the text form, by name."""
    totals = Totals(
        commands={"GET": 1},
        errors={"ReplyError": 1},
        discarded={"full": 1},
        protected_reads={"stale": 1},
    )
    return parse_series(render_text({"a": AliasMetrics(totals, "closed", 0.5, 0.5, BUDGET)}))


def parse_series(text):
    found = {}
    for line in text.splitlines():
        if match := re.match(r"(\w+)\{(.*)\} ", line):
            found.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2]))
    return found


def list_expressions():
    board = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = re.findall(r"expr: (?:\|\n((?: {10,}.*\n)+)|(.+))", ALERTS.read_text())
    return [*expressions, *(block or line for block, line in rules)]


@pytest.mark.parametrize("expression", list_expressions())
def test_an_expression_uses_existing_metrics_and_labels(expression, series):
    expression = re.sub(r"alias:continuum_\w+:\w+", "", expression)
    for name, selector in re.findall(r"(continuum_\w+)(?:\{([^}]*)\})?", expression):
        assert name in series
        assert set(re.findall(r"(\w+)[=!]", selector)) <= series[name] | {"le"}


@pytest.mark.parametrize("expression", list_expressions())
def test_the_text_form_has_every_metric_of_the_expressions(expression, series_without_the_extra):
    names = re.findall(r"continuum_\w+", re.sub(r"alias:continuum_\w+:\w+", "", expression))
    assert set(names) <= series_without_the_extra.keys()


def test_the_alerts_have_the_documented_thresholds():
    text = ALERTS.read_text()
    for threshold in (MEMORY_WARN_RATIO, WARN_RATIO, 0.05):
        assert f"> {threshold:g}\n" in text
    per_day = int(re.search(r"billed_commands_total\[1d\]\)\) > (\d+)", text)[1])
    assert per_day == PRICING_PLANS["free"].commands // 30 // 100 * 100


def test_each_metric_is_documented_with_its_labels(series, series_without_the_extra):
    rows = [line.split("|") for line in REFERENCE.read_text().splitlines() if "`continuum_" in line]
    documented = {
        row[1].strip(" `"): set(re.findall(r"`(\w+)`", row[3])) for row in rows if len(row) > 4
    }
    assert documented == {**group_by_metric(series_without_the_extra), **group_by_metric(series)}


def group_by_metric(series):
    return {
        re.sub(r"_(bucket|sum|count)$", "", name): labels - {"le"}
        for name, labels in series.items()
        if not name.endswith("_created")
    }


STARTED = """
import sys, django
from django.conf import settings
settings.configure(INSTALLED_APPS=["continuum_upstash"], SECRET_KEY="s")
django.setup()
print(*{name.partition(".")[0] for name in sys.modules})
"""


def test_the_app_imports_nothing_optional():
    run = subprocess.run(
        [sys.executable, "-c", STARTED], capture_output=True, text=True, check=True
    )
    optional = {"prometheus_client", "opentelemetry", "debug_toolbar", "health_check", "redis"}
    assert optional & set(run.stdout.split()) == set()
