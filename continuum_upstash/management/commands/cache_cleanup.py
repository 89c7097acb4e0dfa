from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ConfigurationError, ContinuumError
from continuum_upstash.keys import escape_glob, make_scoped_pattern
from continuum_upstash.management.arguments import (
    as_json,
    caches_of,
    chosen,
    positive,
    refuse,
    seconds,
)
from continuum_upstash.management.progress import Progress
from continuum_upstash.management.text_report import billed
from continuum_upstash.plans.cleanup import KeyDeleter, KeySelector, OnProgress, ScanProgress
from continuum_upstash.plans.effects import Plan
from continuum_upstash.sessions.keys import compile_session_matcher

_INTERRUPTED = 130  # as a shell has it for Ctrl-C


class Command(BaseCommand):
    help = (
        "Delete the keys of one cache that match a glob pattern, without holding them in memory. "
        "Counts first, says what it will delete and how many billed commands that takes, and "
        "asks. Exit code 0: done; 1: declined; 2: unreachable, or wrong arguments; 130: "
        "interrupted, with the cursor to go on from."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("pattern", nargs="?", help="a glob for keys as your code names them")
        parser.add_argument("--cache", metavar="ALIAS", help="an alias of CACHES (default)")
        parser.add_argument("--family", help="all keys that begin with FAMILY and a colon")
        parser.add_argument("--raw", action="store_true", help="PATTERN is for whole Redis keys")
        parser.add_argument("--all", action="store_true", help="allow a bare *")
        lifetime = parser.add_mutually_exclusive_group()
        lifetime.add_argument("--no-ttl", action="store_true", help="only keys that never expire")
        lifetime.add_argument("--ttl-below", type=seconds, metavar="T", help="90, 15m, 1h, 7d …")
        lifetime.add_argument("--ttl-above", type=seconds, metavar="T")
        parser.add_argument("--limit", type=positive, help="stop after so many keys")
        parser.add_argument("--batch", type=positive, default=1000, help="keys of one UNLINK")
        parser.add_argument("--rate", type=positive, help="most keys to delete in a second")
        parser.add_argument("--resume", default="0", metavar="CURSOR", help="go on from there")
        parser.add_argument("--dry-run", action="store_true", help="count, delete nothing")
        parser.add_argument("--no-input", "--noinput", action="store_false", dest="interactive")
        parser.add_argument("--format", choices=("text", "json"), default="text", dest="form")

    def handle(self, **options: Any) -> None:
        cache = _cache(options)
        selector = _selector(cache, options)
        batch = min(options["batch"], options["rate"] or options["batch"])
        deleter = KeyDeleter(selector, batch=batch, limit=options["limit"])
        if not options["resume"].isdecimal():
            refuse(f"--resume takes the cursor that was printed, not {options['resume']!r}.")
        self._clean(cache, deleter, selector, options)

    def _clean(
        self,
        cache: UpstashBaseCache,
        deleter: KeyDeleter,
        selector: KeySelector,
        options: dict[str, Any],
    ) -> None:
        counted = self._run(cache, deleter.count, "matched", None, options)
        announced = deleter.compute_cost(counted)
        if options["form"] == "text" or not options["dry_run"]:
            found = _announced(selector, counted, announced)
            self._tell(f"{cache.database.config.label}: {found}", options)
        if options["dry_run"] or not counted.matched:
            self._finish(counted, announced, options)
            return
        if options["interactive"]:
            self._ask()
        done = self._run(cache, deleter.delete, "deleted", counted.pages, options)
        self._finish(done, announced, options)

    def _ask(self) -> None:
        if sys.stdin is None or not sys.stdin.isatty():
            refuse("Nobody is there to ask: add --no-input to delete, or --dry-run to count.")
        answer = ""
        with suppress(EOFError, KeyboardInterrupt):
            answer = input("Type 'yes' to continue, or 'no' to cancel: ")
        if answer != "yes":
            refuse("Nothing was deleted.", 1)

    def _run(
        self,
        cache: UpstashBaseCache,
        scan: Callable[[str, OnProgress], Plan[ScanProgress]],
        figure: str,
        pages: int | None,
        options: dict[str, Any],
    ) -> ScanProgress:
        bar = Progress(self.stderr, pages, quiet=options["verbosity"] == 0)
        latest, began = ScanProgress(options["resume"]), time.monotonic()

        def show(progress: ScanProgress) -> None:
            nonlocal latest
            latest = progress
            bar.show(progress.pages, f"{getattr(progress, figure)} keys {figure}")
            _brake(progress.deleted, began, options["rate"])

        try:
            cache.run(scan(options["resume"], show))
        except KeyboardInterrupt:
            bar.end()
            refuse(f"Interrupted: {_so_far(latest)}", _INTERRUPTED)
        except ContinuumError as error:
            bar.end()
            refuse(f"{error} {_so_far(latest)}" if latest.pages else str(error))
        bar.end()
        return latest

    def _finish(self, walk: ScanProgress, announced: int, options: dict[str, Any]) -> None:
        if options["form"] == "json":
            entry = {**asdict(walk), "announced": announced, "dry_run": options["dry_run"]}
            self.stdout.write(as_json(entry))
        elif walk.matched and not options["dry_run"]:
            text = _done(walk) if walk.complete else _so_far(walk)
            self.stdout.write(self.style.SUCCESS(text))

    def _tell(self, text: str, options: dict[str, Any]) -> None:
        # With JSON, stdout is for the result alone.
        stream = self.stderr if options["form"] == "json" else self.stdout
        stream.write(text, style_func=str)


def _cache(options: dict[str, Any]) -> UpstashBaseCache:
    (cache,) = caches_of(chosen({"cache": [options["cache"] or "default"]}))
    return cache


def _spares(options: dict[str, Any]) -> Callable[[str], object]:
    """Return what tells the keys of sessions, unless their cache was named."""
    named = options["cache"] == settings.SESSION_CACHE_ALIAS
    return (lambda _: False) if named else compile_session_matcher()


def _selector(cache: UpstashBaseCache, options: dict[str, Any]) -> KeySelector:
    pattern, family = options["pattern"], options["family"]
    if bool(pattern) == bool(family):
        refuse("Say which keys: either PATTERN or --family.")
    if family:
        pattern = escape_glob(family.removesuffix(":")) + ":*"
    if not pattern.strip("*") and not options["all"]:
        refuse(f"{pattern} is every key of this cache: add --all if you mean it.")
    ttl = _lifetime(options)
    if options["raw"]:
        return KeySelector(pattern, lambda _: True, _spares(options), ttl)
    try:
        wanted = make_scoped_pattern(cache.key_func, cache.key_prefix, cache.version, pattern)
    except ConfigurationError as error:
        refuse(str(error))
    return KeySelector(wanted.pattern, wanted.matches, _spares(options), ttl)


def _lifetime(options: dict[str, Any]) -> Any:
    below, above = options["ttl_below"], options["ttl_above"]
    if options["no_ttl"]:
        return lambda ms: ms == -1
    if below is not None:
        return lambda ms: 0 <= ms < below * 1000
    if above is not None:
        return lambda ms: ms == -1 or ms > above * 1000
    return None


def _so_far(walk: ScanProgress) -> str:
    return f"{_done(walk)} Go on with --resume {walk.cursor}"


def _done(walk: ScanProgress) -> str:
    return f"{_keys(walk.deleted)} deleted by {billed(walk.commands)}."


def _announced(selector: KeySelector, counted: ScanProgress, cost: int) -> str:
    spared = _spared(counted.excluded)
    if not counted.matched:
        return f"no key matches {selector.pattern}; {billed(counted.commands)}.{spared}"
    match = "matches" if counted.matched == 1 else "match"
    return (
        f"{_keys(counted.matched)} {match} {selector.pattern}. Deleting takes {billed(cost)}; "
        f"counting took {counted.commands:,}.{spared}"
    )


def _spared(count: int) -> str:
    if not count:
        return ""
    return f" {_keys(count)} of sessions left alone: name their cache with --cache to delete them."


def _keys(count: int) -> str:
    return "1 key" if count == 1 else f"{count:,} keys"


def _brake(deleted: int, began: float, rate: int | None) -> None:
    if rate is not None:
        time.sleep(max(deleted / rate - (time.monotonic() - began), 0))
