from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand

from continuum_upstash.health.doctor import Finding, examine
from continuum_upstash.health.probe import get_upstash_caches
from continuum_upstash.management.arguments import (
    DEGRADED,
    UNREACHABLE,
    add_caches,
    as_json,
    chosen,
    refuse,
)

_MARKS: Final = {"ok": "ok  ", "info": "    ", "warning": "WARN", "failed": "FAIL"}
_NOT_EXAMINED: Final = frozenset({"configuration", "connection"})


class Command(BaseCommand):
    help = (
        "Examine the databases: credentials and where they come from, TLS, round trips, clock, "
        "token, eviction, quota; each failure with its fix. Costs a few billed commands. Exit "
        "code 0: fine; 1: something failed, or is a warning with --fail-on warning; 2: "
        "unreachable, or wrong arguments."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_caches(parser)
        parser.add_argument("--format", choices=("text", "json"), default="text", dest="form")
        parser.add_argument("--write", action="store_true", help="write, read and delete a key")
        parser.add_argument("--fail-on", choices=("warning", "failed"), default="failed")

    def handle(self, **options: Any) -> None:
        text = options["form"] == "text"
        findings = {}
        for alias in chosen(options):
            if text:
                self.stdout.write(self.style.MIGRATE_HEADING(f"Cache '{alias}'"))
            findings[alias] = self._examined(alias, write=options["write"], show=text)
        if not text:
            entries = [
                {"alias": alias, "findings": [asdict(each) for each in found]}
                for alias, found in findings.items()
            ]
            self.stdout.write(as_json({"caches": entries}))
        self._judge([each for found in findings.values() for each in found], options["fail_on"])

    def _examined(self, alias: str, *, write: bool, show: bool) -> list[Finding]:
        findings = []
        try:
            (cache,) = get_upstash_caches([alias])
            examination = examine(cache, write=write)
        except ImproperlyConfigured as error:
            examination = iter([Finding("configuration", "failed", str(error))])
        for finding in examination:
            findings.append(finding)
            if show:
                self._show(finding)
        return findings

    def _show(self, finding: Finding) -> None:
        style = {"warning": self.style.WARNING, "failed": self.style.ERROR}.get(finding.outcome)
        line = f"  {_MARKS[finding.outcome]}  {finding.name:<14} {finding.detail}"
        self.stdout.write(line, style_func=style)
        if finding.fix:
            self.stdout.write(f"                       -> {finding.fix}")

    def _judge(self, findings: list[Finding], fail_on: str) -> None:
        failed = [each for each in findings if each.outcome == "failed"]
        if any(each.name in _NOT_EXAMINED for each in failed):
            refuse("Not every database could be examined.", UNREACHABLE)
        warned = [each for each in findings if each.outcome == "warning"]
        if failed or (warned and fail_on == "warning"):
            refuse(f"Failures: {len(failed)}, warnings: {len(warned)}.", DEGRADED)
