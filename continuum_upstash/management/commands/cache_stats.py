from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from math import ceil
from typing import Any, Final, NoReturn

from django.core.management.base import BaseCommand

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.overview import Overview, read_overview
from continuum_upstash.keys import make_scoped_pattern
from continuum_upstash.management.arguments import (
    DEGRADED,
    UNREACHABLE,
    add_caches,
    ago,
    as_json,
    caches_of,
    chosen,
    positive,
    refuse,
)
from continuum_upstash.management.progress import Progress
from continuum_upstash.management.text_report import sheet
from continuum_upstash.plans.scan import COUNT, KeyScan
from continuum_upstash.stats.counters import read_process_totals
from continuum_upstash.stats.exporters.prometheus_text import render_text
from continuum_upstash.stats.key_families import Family, FamilySampler

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Look:
    """
    Attributes:
        families: the largest ones; None: nobody asked, or could be told.
        spent: billed commands that the look itself took.
    """

    overview: Overview
    families: list[Family] | None
    spent: int


class Command(BaseCommand):
    help = (
        "Show how each cache is doing: connection, state, latency, hit rate, memory, the month's "
        "commands against the plan. Exit code 0: fine; 1: degraded, with --fail-on degraded; "
        "2: unreachable, or wrong arguments."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_caches(parser)
        parser.add_argument(
            "--format", choices=("table", "json", "prometheus"), default="table", dest="form"
        )
        parser.add_argument("--watch", type=positive, metavar="N", help="again every N seconds")
        parser.add_argument(
            "--since", type=ago, default="1h", help="15m, 1h (default), 7d … up to 32d"
        )
        parser.add_argument(
            "--families", action="store_true", help="the largest key families, by a sample"
        )
        parser.add_argument(
            "--sample",
            type=positive,
            default=5000,
            help="keys to look at, anybody's (default 5000)",
        )
        parser.add_argument("--fail-on", choices=("degraded",), help="exit with 1 then")

    def handle(self, **options: Any) -> None:
        caches = caches_of(chosen(options))
        if options["watch"] and not self.stdout.isatty():
            refuse("--watch redraws a terminal, and this is none: leave it out.")
        if options["watch"]:
            with suppress(KeyboardInterrupt):
                self._watch(caches, options)
            return
        looks = [self._look(each, options) for each in caches]
        self.stdout.write(_text(looks, options["form"]))
        self._judge([each.overview for each in looks], options["fail_on"])

    def _watch(self, caches: Sequence[UpstashBaseCache], options: dict[str, Any]) -> NoReturn:
        while True:
            looks = [self._look(each, options) for each in caches]
            self.stdout.write(f"\x1b[2J\x1b[H{_text(looks, options['form'])}")
            time.sleep(options["watch"])

    def _look(self, cache: UpstashBaseCache, options: dict[str, Any]) -> _Look:
        before = _billed(cache)
        since = options["since"]
        period = {"minutes": since} if since <= _DAY else {"hours": since}
        overview = cache.run(read_overview(cache, **period))
        asked = options["families"] and overview.health.round_trip is not None
        families = self._families(cache, options) if asked else None
        return _Look(overview, families, _billed(cache) - before)

    def _families(self, cache: UpstashBaseCache, options: dict[str, Any]) -> list[Family] | None:
        wanted = make_scoped_pattern(cache.key_func, cache.key_prefix, cache.version, "*")
        scan, sample, seen = KeyScan(wanted.pattern), FamilySampler(wanted), 0
        pages = ceil(options["sample"] / COUNT)
        progress = Progress(self.stderr, pages, quiet=options["verbosity"] == 0)
        # A page without keys of this cache is billed, too.
        while scan.pages < pages and not scan.is_complete:
            try:
                names = cache.run(scan.fetch_page())
            except ContinuumError as error:
                progress.end()
                self.stderr.write(f"No families of '{cache.database.config.alias}': {error}")
                return None
            sample.add(names)
            seen += len(names)
            progress.show(scan.pages, f"{seen} keys")
        progress.end()
        return sample.list_largest()

    def _judge(self, overviews: Sequence[Overview], fail_on: str | None) -> None:
        silent = [each.health.label for each in overviews if each.health.round_trip is None]
        if silent:
            refuse(f"No answer from {', '.join(silent)}.", UNREACHABLE)
        poor = [each.health.label for each in overviews if each.health.verdict != "ok"]
        if poor and fail_on:
            refuse(f"Degraded: {', '.join(poor)}.", DEGRADED)


def _billed(cache: UpstashBaseCache) -> int:
    """Return what this process has cost so far."""
    return read_process_totals(cache.database.config.alias).all_billed


def _text(looks: Sequence[_Look], form: str) -> str:
    if form == "prometheus":
        aliases = {each.overview.health.alias: each.overview.as_metrics() for each in looks}
        return render_text(aliases)
    if form == "json":
        return _json(looks)
    return "\n\n".join(sheet(each.overview, each.families, each.spent) for each in looks)


def _json(looks: Sequence[_Look]) -> str:
    entries = []
    for look in looks:
        listed = None if look.families is None else [asdict(each) for each in look.families]
        entries.append({**look.overview.as_dict(), "spent": look.spent, "families": listed})
    return as_json({"caches": entries})
