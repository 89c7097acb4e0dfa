"""The results of a run: a table, a JSON file, and what each failure means."""

from __future__ import annotations

import json
import platform
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

import continuum_upstash
from tests.service.catalogue import GROUPS, Assumption
from tests.service.preflight import Server
from tests.service.target import Target

_SEVERITY: Final = ("skipped", "passed", "failed")  # the result of an assumption is its worst


@dataclass(slots=True)
class Result:
    """The result of one assumption, from all parameters of its test.

    Attributes:
        outcome: `passed`, `failed` or `skipped`.
        details: of each parameter that failed: what the service returned, and what was expected.
        skipped: the reasons of parameters that were skipped.
        observed: what was observed.
        exchanges: the last requests and responses of the failures over REST.
        commands: how many it has billed, its clean-up included.
        seconds: the duration.
    """

    assumption: Assumption
    outcome: str = "skipped"
    details: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    observed: list[str] = field(default_factory=list)
    exchanges: list[dict[str, Any]] = field(default_factory=list)
    commands: int = 0
    seconds: float = 0.0


class Results:
    """A pytest plugin that collects the results of all tests, also from the workers of xdist."""

    def __init__(self, assumptions: Mapping[str, Assumption]) -> None:
        self._assumptions = assumptions  # by node id without parameters
        self.by_id: dict[str, Result] = {}
        self.errors: list[str] = []
        self.tests = 0

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors.append(f"{report.nodeid}: {report.longreprtext}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        assumption = self._assumptions.get(report.nodeid.partition("[")[0])
        if assumption is None:
            return
        result = self.by_id.setdefault(assumption.id, Result(assumption))
        result.seconds += report.duration
        if report.when == "teardown":
            self._add_properties(result, dict(report.user_properties))
            self.tests += 1
        if report.failed:
            result.exchanges += dict(report.user_properties).get("exchanges", [])
            result.details.append(_describe_failure(report))
        elif report.skipped:
            result.skipped.append(_read_skip_reason(report))
        if report.failed or report.skipped or report.when == "call":
            result.outcome = max(result.outcome, report.outcome, key=_SEVERITY.index)

    def _add_properties(self, result: Result, properties: dict[str, Any]) -> None:
        result.commands += properties.get("commands", 0) + properties.get("deletions", 0)
        if "observed" in properties:
            result.observed.append(str(properties["observed"]))

    @property
    def commands(self) -> int:
        return sum(result.commands for result in self.by_id.values())

    def list_all(self) -> list[Result]:
        return [self.by_id[name] for name in sorted(self.by_id, key=_sort_key)]


def _sort_key(id_: str) -> tuple[int, str]:
    return GROUPS.index(id_.partition("-")[0]), id_


def _describe_failure(report: pytest.TestReport) -> str:
    parameters = report.nodeid.partition("[")[2].rstrip("]")
    crash = getattr(report.longrepr, "reprcrash", None)
    message = crash.message if crash is not None else report.longreprtext
    text = re.sub(r"^(AssertionError: )?(assert )?", "", message)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = [line for line in lines if not line.startswith("+ where")]
    joined = "; ".join(filter(None, lines))[:800]
    where = "" if report.when == "call" else f" (in the {report.when} of the test)"
    return f"{f'[{parameters}] ' if parameters else ''}{joined}{where}"


def _read_skip_reason(report: pytest.TestReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return str(reason).removeprefix("Skipped: ")


def render_table(results: Iterable[Result]) -> str:
    """Return one line for each assumption: id, evidence, result, statement."""
    width = max(80, min(shutil.get_terminal_size((110, 24)).columns, 160))
    lines = [f"{'id':9} {'evidence':11} {'result':7} assumption"]
    for result in results:
        assumption = result.assumption
        start = f"{assumption.id:9} {assumption.evidence:11} {result.outcome:7} "
        statement = assumption.statement
        if len(start) + len(statement) > width:
            statement = statement[: width - len(start) - 1] + "…"
        lines.append(start + statement)
    return "\n".join(lines)


def render_details(results: Iterable[Result]) -> str:
    """Return what failed and what that means, what was observed, and why tests were skipped."""
    results = list(results)
    lines = []
    for result in results:
        if result.outcome == "failed":
            assumption = result.assumption
            lines += [
                "",
                f"{assumption.id} FAILED. {assumption.statement}",
                *(f"  {detail}" for detail in result.details),
                f"  evidence: {assumption.evidence}: {assumption.source}",
                f"  affects:  {assumption.affects}",
            ]
    observed = dict.fromkeys(
        f"  {each.assumption.id}: {text}" for each in results for text in each.observed
    )
    if observed:
        lines += ["", "Observed", *observed]
    reasons = Counter(reason for result in results for reason in result.skipped)
    if reasons:
        lines += ["", "Skipped", *(f"  {count:3} {reason}" for reason, count in reasons.items())]
    return "\n".join(lines)


def write_json(
    path: Path, target: Target, server: Server, results: Results, summary: Mapping[str, Any]
) -> None:
    """Write the report that a user can attach to a bug report; it contains no secret."""
    document = {
        "package": continuum_upstash.__version__,
        "python": platform.python_version(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "database": {
            "host": target.name,
            "profile": target.profile,
            "is_real": target.is_real,
            "rest": bool(target.rest_url),
            "tcp": bool(target.redis_url),
            **asdict(server),
        },
        **summary,
        "results": [_to_json(result) for result in results.list_all()],
    }
    text = json.dumps(document, indent=1, ensure_ascii=False)
    path.write_text(target.redact(text) + "\n", encoding="utf-8")


def _to_json(result: Result) -> dict[str, Any]:
    assumption = result.assumption
    values = {name: getattr(result, name) for name in Result.__slots__ if name != "assumption"}
    return {
        "id": assumption.id,
        "assumption": assumption.statement,
        "evidence": assumption.evidence,
        "source": assumption.source,
        "affects": assumption.affects,
        **values,
        "seconds": round(result.seconds, 3),
    }
