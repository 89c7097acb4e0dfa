from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand
from django.utils.translation import override

from continuum_upstash.health.doctor import examine
from continuum_upstash.health.findings import Finding
from continuum_upstash.health.probe import get_upstash_caches
from continuum_upstash.management.arguments import (
    DEGRADED,
    UNREACHABLE,
    add_cache_options,
    fail,
    format_json,
    select_aliases,
)
from continuum_upstash.management.text_report import wrap

_MARKS: Final = {"ok": "ok  ", "info": "    ", "warning": "WARN", "failed": "FAIL"}
_INDENT: Final = " " * 23
_REQUIRED: Final = frozenset({"configuration", "connection"})  # other checks need these


class Command(BaseCommand):
    help = (
        "Check each database: credentials and their source, TLS, round trips, clock, token, "
        "eviction, quota. Each problem is shown with its fix. Costs a few billed commands. Exit "
        "status 0: success; 1: a check failed, or warns with --fail-on warning; 2: the database "
        "is unreachable or the arguments are invalid."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_cache_options(parser)
        parser.add_argument("--format", choices=("text", "json"), default="text", dest="form")
        parser.add_argument(
            "--write", action="store_true", help="also write, read and delete a key"
        )
        parser.add_argument(
            "--account",
            action="store_true",
            help="also check plan, state, eviction, budget, regions and limits as Upstash's "
            "Developer API states them; needs UPSTASH_EMAIL and UPSTASH_API_KEY",
        )
        parser.add_argument(
            "--fail-on",
            choices=("warning", "failed"),
            default="failed",
            help="exit with status 1 for these findings (default: failed)",
        )

    @override("en")
    def handle(self, **options: Any) -> None:
        text = options["form"] == "text"
        findings = {}
        for alias in select_aliases(options):
            if text:
                self.stdout.write(self.style.MIGRATE_HEADING(f"Cache '{alias}'"))
            findings[alias] = self._examine(alias, options, show=text)
        if not text:
            entries = [
                {"alias": alias, "findings": [asdict(each) for each in found]}
                for alias, found in findings.items()
            ]
            self.stdout.write(format_json({"caches": entries}))
        self._check([each for found in findings.values() for each in found], options["fail_on"])

    def _examine(self, alias: str, options: dict[str, Any], *, show: bool) -> list[Finding]:
        findings = []
        try:
            (cache,) = get_upstash_caches([alias])
            examination = examine(cache, write=options["write"], account=options["account"])
        except ImproperlyConfigured as error:
            examination = iter([Finding("configuration", "failed", str(error))])
        for finding in examination:
            findings.append(finding)
            if show:
                self._show(finding)
        return findings

    def _show(self, finding: Finding) -> None:
        style = {"warning": self.style.WARNING, "failed": self.style.ERROR}.get(finding.outcome)
        line = f"{_MARKS[finding.outcome]}  {finding.name:<14} {finding.detail}"
        self.stdout.write(wrap(line, "  ", _INDENT), style_func=style)
        if finding.fix:
            self.stdout.write(wrap(f"-> {finding.fix}", _INDENT, f"{_INDENT}   "))

    def _check(self, findings: list[Finding], fail_on: str) -> None:
        failed = [each for each in findings if each.outcome == "failed"]
        if any(each.name in _REQUIRED for each in failed):
            fail("At least one database could not be checked.", UNREACHABLE)
        warnings = [each for each in findings if each.outcome == "warning"]
        if failed or (warnings and fail_on == "warning"):
            fail(f"Failures: {len(failed)}, warnings: {len(warnings)}.", DEGRADED)
