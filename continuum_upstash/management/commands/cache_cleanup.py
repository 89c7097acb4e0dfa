from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ConfigurationError, ContinuumError, escape_unprintable
from continuum_upstash.keys import escape_glob, make_scoped_pattern
from continuum_upstash.management.arguments import (
    INTERRUPTED,
    confirm,
    fail,
    format_json,
    get_caches,
    parse_positive_int,
    parse_seconds,
    select_aliases,
)
from continuum_upstash.management.progress import Progress
from continuum_upstash.management.text_report import format_billed
from continuum_upstash.plans.cleanup import KeyDeleter, KeySelector, OnProgress, ScanProgress
from continuum_upstash.plans.effects import Plan
from continuum_upstash.sessions.keys import compile_session_matcher


class Command(BaseCommand):
    help = (
        "Delete the keys of one cache that match a glob pattern. Memory usage does not depend on "
        "the number of keys. The command first counts the keys, shows how many it will delete "
        "and how many billed commands this takes, and asks for confirmation. Exit status 0: "
        "success; 1: not confirmed; 2: the database is unreachable or the arguments are invalid; "
        "130: interrupted, with the cursor for --resume."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("pattern", nargs="?", help="a glob pattern for keys as your code uses them")
        add("--cache", metavar="ALIAS", help="an alias of CACHES (default: default)")
        add("--family", help="delete all keys that start with FAMILY and a colon")
        add("--raw", action="store_true", help="PATTERN matches full Redis keys")
        add("--all", action="store_true", help="allow the pattern *")
        ttl = parser.add_mutually_exclusive_group()
        ttl.add_argument("--no-ttl", action="store_true", help="only keys without an expiry")
        ttl.add_argument(
            "--ttl-below",
            type=parse_seconds,
            metavar="T",
            help="only keys with a remaining lifetime below T: 90, 15m, 1h, 7d …",
        )
        ttl.add_argument(
            "--ttl-above",
            type=parse_seconds,
            metavar="T",
            help="only keys with a remaining lifetime above T, or without an expiry",
        )
        add("--limit", type=parse_positive_int, help="stop after this number of keys")
        add("--batch", type=parse_positive_int, default=1000, help="keys per UNLINK (1000)")
        add("--rate", type=parse_positive_int, help="maximum number of keys deleted per second")
        add("--resume", default="0", metavar="CURSOR", help="continue from this cursor")
        add("--dry-run", action="store_true", help="count only; delete nothing")
        add(
            "--no-input",
            "--noinput",
            action="store_false",
            dest="interactive",
            help="do not ask for confirmation",
        )
        add("--format", choices=("text", "json"), default="text", dest="form")

    def handle(self, **options: Any) -> None:
        cache = _get_cache(options)
        selector = _make_selector(cache, options)
        batch = min(options["batch"], options["rate"] or options["batch"])
        deleter = KeyDeleter(selector, batch=batch, limit=options["limit"])
        if not options["resume"].isdecimal():
            fail(f"--resume requires the cursor that was printed, not {options['resume']!r}.")
        self._clean(cache, deleter, selector, options)

    def _clean(
        self,
        cache: UpstashBaseCache,
        deleter: KeyDeleter,
        selector: KeySelector,
        options: dict[str, Any],
    ) -> None:
        counted = self._run(cache, deleter.count, "matched", None, options)
        cost = deleter.compute_cost(counted)
        if options["form"] == "text" or not options["dry_run"]:
            preview = _format_preview(selector, counted, cost)
            self._print(f"{cache.database.config.label}: {preview}", options)
        if options["dry_run"] or not counted.matched:
            self._print_result(counted, cost, options)
            return
        if options["interactive"]:
            confirm("Nothing was deleted.", "to delete")
        deleted = self._run(cache, deleter.delete, "deleted", counted.pages, options)
        self._print_result(deleted, cost, options)

    def _run(
        self,
        cache: UpstashBaseCache,
        scan: Callable[[str, OnProgress], Plan[ScanProgress]],
        figure: str,
        pages: int | None,
        options: dict[str, Any],
    ) -> ScanProgress:
        bar = Progress(self.stderr, pages, quiet=options["verbosity"] == 0)
        latest, started = ScanProgress(options["resume"]), time.monotonic()

        def show(progress: ScanProgress) -> None:
            nonlocal latest
            latest = progress
            bar.show(progress.pages, f"{getattr(progress, figure):,} keys {figure}")
            _throttle(progress.deleted, started, options["rate"])

        try:
            cache.run(scan(options["resume"], show))
        except KeyboardInterrupt:
            bar.end()
            fail(f"Interrupted: {_format_interrupted(latest, figure)}", INTERRUPTED)
        except ContinuumError as error:
            bar.end()
            rest = f" {_format_interrupted(latest, figure)}" if latest.pages else ""
            fail(f"{error}{rest}")
        bar.end()
        return latest

    def _print_result(self, progress: ScanProgress, cost: int, options: dict[str, Any]) -> None:
        if options["form"] == "json":
            entry = {**asdict(progress), "announced": cost, "dry_run": options["dry_run"]}
            self.stdout.write(format_json(entry))
        elif progress.matched and not options["dry_run"]:
            text = _format_deleted(progress) if progress.complete else _format_progress(progress)
            self.stdout.write(self.style.SUCCESS(text))

    def _print(self, text: str, options: dict[str, Any]) -> None:
        # With --format json, stdout contains only the result.
        stream = self.stderr if options["form"] == "json" else self.stdout
        stream.write(escape_unprintable(text), style_func=str)


def _get_cache(options: dict[str, Any]) -> UpstashBaseCache:
    (cache,) = get_caches(select_aliases({"cache": [options["cache"] or "default"]}))
    return cache


def _make_session_matcher(options: dict[str, Any]) -> Callable[[str], object]:
    """Return what matches the keys of sessions; nothing if --cache names their alias."""
    is_named = options["cache"] == settings.SESSION_CACHE_ALIAS
    return (lambda _: False) if is_named else compile_session_matcher()


def _make_selector(cache: UpstashBaseCache, options: dict[str, Any]) -> KeySelector:
    pattern, family = options["pattern"], options["family"]
    if bool(pattern) == bool(family):
        fail("Name the keys by either PATTERN or --family.")
    if family:
        pattern = escape_glob(family.removesuffix(":")) + ":*"
    if not pattern.strip("*") and not options["all"]:
        fail(f"{pattern} matches all keys of this cache: pass --all to allow this.")
    exclude, ttl = _make_session_matcher(options), _make_ttl_filter(options)
    if options["raw"]:
        return KeySelector(pattern, lambda _: True, exclude, ttl)
    try:
        scoped = make_scoped_pattern(cache.key_func, cache.key_prefix, cache.version, pattern)
    except ConfigurationError as error:
        fail(str(error))
    return KeySelector(scoped.pattern, scoped.matches, exclude, ttl)


def _make_ttl_filter(options: dict[str, Any]) -> Callable[[int], bool] | None:
    below, above = options["ttl_below"], options["ttl_above"]
    if options["no_ttl"]:
        return lambda ms: ms == -1
    if below is not None:
        return lambda ms: 0 <= ms < below * 1000
    if above is not None:
        return lambda ms: ms == -1 or ms > above * 1000
    return None


def _format_preview(selector: KeySelector, counted: ScanProgress, cost: int) -> str:
    excluded = _format_excluded(counted.excluded)
    if not counted.matched:
        used = format_billed(counted.commands)
        return f"no key matches {selector.pattern}. Counting took {used}.{excluded}"
    match = "matches" if counted.matched == 1 else "match"
    rest = "" if counted.complete else "; more may match, which --limit keeps"
    return (
        f"{_format_keys(counted.matched)} {match} {selector.pattern}{rest}. Deleting takes "
        f"{format_billed(cost)}; counting took {counted.commands:,}.{excluded}"
    )


def _format_excluded(count: int) -> str:
    if not count:
        return ""
    keys = _format_keys(count)
    return f" {keys} of sessions will be kept: pass --cache with their alias to delete them."


def _format_progress(progress: ScanProgress) -> str:
    return f"{_format_deleted(progress)} Continue with --resume {progress.cursor}"


def _format_interrupted(progress: ScanProgress, figure: str) -> str:
    if figure == "deleted":
        return _format_progress(progress)
    found, used = _format_keys(progress.matched), format_billed(progress.commands)
    return f"nothing was deleted. {found} counted with {used}."


def _format_deleted(progress: ScanProgress) -> str:
    return f"{_format_keys(progress.deleted)} deleted with {format_billed(progress.commands)}."


def _format_keys(count: int) -> str:
    return "1 key" if count == 1 else f"{count:,} keys"


def _throttle(deleted: int, started: float, rate: int | None) -> None:
    if rate is not None:
        time.sleep(max(deleted / rate - (time.monotonic() - started), 0))
