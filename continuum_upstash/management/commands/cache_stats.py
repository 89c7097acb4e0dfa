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
from continuum_upstash.health.probe import probe_health
from continuum_upstash.keys import make_scoped_pattern
from continuum_upstash.management.arguments import (
    DEGRADED,
    UNREACHABLE,
    add_budget_option,
    add_cache_options,
    check_budget_option,
    fail,
    fail_above_budget,
    format_json,
    get_caches,
    parse_lookback,
    parse_positive_int,
    select_aliases,
)
from continuum_upstash.management.progress import Progress
from continuum_upstash.management.text_report import render_overview
from continuum_upstash.plans.scan import COUNT, KeyScan
from continuum_upstash.stats.counters import read_process_totals
from continuum_upstash.stats.exporters.prometheus_text import render_text
from continuum_upstash.stats.key_families import Family, FamilySampler

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _CacheReport:
    """
    Attributes:
        families: the largest key families; None: unknown or not requested.
        spent: billed commands that the report itself used.
    """

    overview: Overview
    families: list[Family] | None
    spent: int


class Command(BaseCommand):
    help = (
        "Show connection, state, latency, hit rate, memory, and the month's commands compared "
        "with the pricing plan. Exit status 0: success; 1: degraded, with --fail-on degraded, or "
        "the month costs more than --budget, with --fail-on cost; 2: the database is unreachable "
        "or the arguments are invalid."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_cache_options(parser)
        parser.add_argument(
            "--format", choices=("table", "json", "prometheus"), default="table", dest="form"
        )
        parser.add_argument(
            "--watch", type=parse_positive_int, metavar="N", help="refresh every N seconds"
        )
        parser.add_argument(
            "--since",
            type=parse_lookback,
            default="1h",
            help="the period: 15m, 1h (default), 7d … up to 32d",
        )
        parser.add_argument(
            "--families",
            action="store_true",
            help="show the largest key families, estimated from a sample",
        )
        parser.add_argument(
            "--sample",
            type=parse_positive_int,
            default=5000,
            help="keys to read for --families, including those of other caches (default 5000)",
        )
        parser.add_argument(
            "--fail-on",
            choices=("degraded", "cost"),
            help="exit with status 1 if a cache is degraded, or the month costs more than --budget",
        )
        add_budget_option(parser)

    def handle(self, **options: Any) -> None:
        check_budget_option(options)
        caches = get_caches(select_aliases(options))
        if options["watch"] and not self.stdout.isatty():
            fail("--watch requires a terminal, and stdout is not one.")
        if options["watch"]:
            with suppress(KeyboardInterrupt):
                self._watch(caches, options)
            return
        reports = [self._make_report(each, options) for each in caches]
        self.stdout.write(self._format(reports, options["form"]))
        self._check([each.overview for each in reports], options)

    def _watch(self, caches: Sequence[UpstashBaseCache], options: dict[str, Any]) -> NoReturn:
        while True:
            reports = [self._make_report(each, options) for each in caches]
            self.stdout.write(f"\x1b[2J\x1b[H{self._format(reports, options['form'])}")
            time.sleep(options["watch"])

    def _make_report(self, cache: UpstashBaseCache, options: dict[str, Any]) -> _CacheReport:
        before = _count_billed(cache)
        since = options["since"]
        period = {"minutes": since} if since <= _DAY else {"hours": since}
        cache.run(probe_health(cache))  # connects: the round trip is measured without it
        overview = cache.run(read_overview(cache, **period))
        families = None
        if options["families"] and overview.health.round_trip is not None:
            families = self._sample_families(cache, options)
        return _CacheReport(overview, families, _count_billed(cache) - before)

    def _sample_families(
        self, cache: UpstashBaseCache, options: dict[str, Any]
    ) -> list[Family] | None:
        pattern = make_scoped_pattern(cache.key_func, cache.key_prefix, cache.version, "*")
        scan, sampler, read = KeyScan(pattern.pattern), FamilySampler(pattern), 0
        max_pages = ceil(options["sample"] / COUNT)
        progress = Progress(self.stderr, max_pages, quiet=options["verbosity"] == 0)
        # The pages are limited, not the keys: a page without keys of this cache is billed, too.
        while scan.pages < max_pages and not scan.is_complete:
            try:
                full_keys = cache.run(scan.fetch_page())
            except ContinuumError as error:
                progress.end()
                self.stderr.write(
                    f"Cannot read the key families of '{cache.database.config.alias}': {error}"
                )
                return None
            sampler.add(full_keys)
            read += len(full_keys)
            progress.show(scan.pages, f"{read} keys")
        progress.end()
        return sampler.list_largest()

    def _check(self, overviews: Sequence[Overview], options: dict[str, Any]) -> None:
        unreachable = [each.health.label for each in overviews if each.health.round_trip is None]
        if unreachable:
            fail(f"No reply from {', '.join(unreachable)}.", UNREACHABLE)
        degraded = [each.health.label for each in overviews if each.health.verdict != "ok"]
        if degraded and options["fail_on"] == "degraded":
            fail(f"Degraded: {', '.join(degraded)}.", DEGRADED)
        if options["budget"] is not None:
            bills = {each.health.alias: each.bill for each in overviews}
            fail_above_budget(bills, options["budget"])

    def _format(self, reports: Sequence[_CacheReport], form: str) -> str:
        if form == "prometheus":
            return render_text(
                {each.overview.health.alias: each.overview.as_metrics() for each in reports}
            )
        if form == "json":
            return format_json({"caches": [_as_dict(each) for each in reports]})
        return "\n\n".join(
            render_overview(each.overview, each.families, each.spent, self.style)
            for each in reports
        )


def _count_billed(cache: UpstashBaseCache) -> int:
    """Return the billed commands of this process so far."""
    return read_process_totals(cache.database.config.alias).all_billed


def _as_dict(report: _CacheReport) -> dict[str, Any]:
    families = None if report.families is None else [asdict(each) for each in report.families]
    return {**report.overview.as_dict(), "spent": report.spent, "families": families}
