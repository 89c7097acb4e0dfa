from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from django.core.management.base import BaseCommand

from continuum_upstash import scans
from continuum_upstash.effects import Driver, run
from continuum_upstash.errors import ContinuumError
from continuum_upstash.keys import user_pattern
from continuum_upstash.management.options import (
    DEGRADED,
    UNREACHABLE,
    add_caches,
    as_json,
    caches_of,
    chosen,
    positive,
    refuse,
    seconds,
)
from continuum_upstash.management.progress import Progress
from continuum_upstash.management.sheets import sheet
from continuum_upstash.overview import Overseer, Overview
from continuum_upstash.plan_cache import PlanCache
from continuum_upstash.stats.exposition import exposition
from continuum_upstash.stats.families import Family, Sample
from continuum_upstash.stats.tally import Tally


@dataclass(slots=True)
class _Watched:
    """A cache, and what need not be read again at each look."""

    cache: PlanCache
    overseer: Overseer
    earlier: Tally | None = None


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
        parser.add_argument("--since", type=seconds, default="1h", help="15m, 1h (default), 7d …")
        parser.add_argument(
            "--families", action="store_true", help="the largest key families, by a sample"
        )
        parser.add_argument(
            "--sample", type=positive, default=5000, help="keys to look at (default 5000)"
        )
        parser.add_argument("--fail-on", choices=("degraded",), help="exit with 1 then")

    def handle(self, **options: Any) -> None:
        watched = [_Watched(each, Overseer(each)) for each in caches_of(chosen(options))]
        if options["watch"] and not self.stdout.isatty():
            refuse("--watch redraws a terminal, and this is none: leave it out.")
        if options["watch"]:
            with suppress(KeyboardInterrupt):
                self._watch(watched, options)
            return
        text, overviews = self._look(watched, options)
        self.stdout.write(text)
        self._judge(overviews, options["fail_on"])

    def _watch(self, watched: Sequence[_Watched], options: dict[str, Any]) -> NoReturn:
        while True:
            text, _ = self._look(watched, options)
            self.stdout.write(f"\x1b[2J\x1b[H{text}")
            time.sleep(options["watch"])

    def _look(
        self, watched: Sequence[_Watched], options: dict[str, Any]
    ) -> tuple[str, list[Overview]]:
        since = timedelta(seconds=options["since"])
        overviews = [_overview(each, since) for each in watched]
        families = [
            self._families(each.cache, options) if options["families"] else None for each in watched
        ]
        if options["form"] == "prometheus":
            return exposition({each.report.alias: each.today for each in overviews}), overviews
        if options["form"] == "json":
            return _json(overviews, families), overviews
        sheets = [sheet(*each) for each in zip(overviews, families, strict=True)]
        return "\n\n".join(sheets), overviews

    def _families(self, cache: PlanCache, options: dict[str, Any]) -> list[Family]:
        wanted = user_pattern(cache.key_func, cache.key_prefix, cache.version, "*")
        sample, cursor, seen = Sample(wanted), "", 0
        progress = Progress(self.stderr, options["sample"], quiet=options["verbosity"] == 0)
        driver = Driver(cache.database.send, _nothing, _nothing)
        while cursor != "0" and seen < options["sample"]:
            try:
                cursor, names = run(scans.page(wanted.pattern, cursor or "0"), driver)
            except ContinuumError as error:
                self.stderr.write(f"No families of '{cache.database.config.alias}': {error}")
                break
            sample.add(names)
            seen += len(names)
            progress.show(seen, f"{seen} keys")
        progress.end()
        return sample.largest()

    def _judge(self, overviews: Sequence[Overview], fail_on: str | None) -> None:
        silent = [each.report.label for each in overviews if each.report.round_trip is None]
        if silent:
            refuse(f"No answer from {', '.join(silent)}.", UNREACHABLE)
        poor = [each.report.label for each in overviews if each.report.verdict != "ok"]
        if poor and fail_on:
            refuse(f"Degraded: {', '.join(poor)}.", DEGRADED)


def _overview(watched: _Watched, since: timedelta) -> Overview:
    now = datetime.now(UTC)
    if watched.earlier is None:
        try:
            watched.earlier = watched.overseer.month(now)
        except ContinuumError:
            # The overview says what is wrong; the month's begin is read at the next look.
            return watched.overseer.overview(since, now, Tally())
    return watched.overseer.overview(since, now, watched.earlier)


def _json(overviews: Sequence[Overview], families: Sequence[list[Family] | None]) -> str:
    entries = []
    for overview, found in zip(overviews, families, strict=True):
        listed = None if found is None else [asdict(each) for each in found]
        entries.append({**overview.as_dict(), "families": listed})
    return as_json({"caches": entries})


def _nothing(*_: object) -> bytes:
    raise NotImplementedError("a walk encodes nothing")
