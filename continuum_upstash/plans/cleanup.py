"""Deletes the keys that match, page by page: memory stays constant over millions of keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from continuum_upstash.plans.effects import Plan, call_many
from continuum_upstash.plans.scan import COUNT, KeyScan


@dataclass(frozen=True, slots=True)
class KeySelector:
    """Which keys to delete.

    Attributes:
        pattern: SCAN's glob, for full keys.
        matches: whether a full key that SCAN found is selected.
        exclude: whether a selected key is not deleted nevertheless.
        ttl: whether a TTL is selected, as PTTL returns it (milliseconds; -1: no expiry); None: any.
            It costs one billed command for each key that matches.
    """

    pattern: str
    matches: Callable[[str], bool]
    exclude: Callable[[str], object]
    ttl: Callable[[int], bool] | None = None


@dataclass(slots=True)
class ScanProgress:
    """How far a scan is.

    Attributes:
        cursor: where to continue after an interruption, so that no key is missed.
        complete: whether the last page was reached, and not a limit.
        pages: SCANs so far.
        matched: keys selected so far.
        excluded: keys that match and are not deleted.
        deleted: keys deleted so far.
        commands: billed commands so far.
    """

    cursor: str = "0"
    complete: bool = False
    pages: int = 0
    matched: int = 0
    excluded: int = 0
    deleted: int = 0
    commands: int = 0


OnProgress: TypeAlias = Callable[[ScanProgress], object]


def _ignore(_progress: ScanProgress) -> None:
    pass


class KeyDeleter:
    """Counts or deletes the selected keys.

    A full batch of keys is deleted in the round trip that requests the next page.

    Args:
        selector: which keys.
        batch: the most keys of one UNLINK.
        limit: stop after this many keys; None: no limit.
        max_pages: stop after this many SCANs; None: no limit.
    """

    def __init__(
        self,
        selector: KeySelector,
        *,
        batch: int = COUNT,
        limit: int | None = None,
        max_pages: int | None = None,
    ) -> None:
        self._selector, self._batch = selector, batch
        self._limit, self._max_pages = limit, max_pages

    def count(self, cursor: str = "0", on_progress: OnProgress = _ignore) -> Plan[ScanProgress]:
        """Count the keys that `delete` would delete.

        Args:
            cursor: where to start.
            on_progress: called after each page, always with the same object.
        """
        scan, progress = self._start(cursor), ScanProgress(cursor)
        while not self._is_done(scan, progress):
            yield from self._fetch_keys(scan, progress)
            progress.pages, progress.commands = scan.pages, scan.commands
            on_progress(progress)
        return progress

    def compute_cost(self, counted: ScanProgress) -> int:
        """Return the billed commands that deleting takes after `count`."""
        return counted.commands + -(-counted.matched // self._batch)

    def delete(self, cursor: str = "0", on_progress: OnProgress = _ignore) -> Plan[ScanProgress]:
        """Delete the selected keys.

        Args:
            cursor: where to start, from the progress of an earlier run.
            on_progress: called after each round trip, always with the same object.
        """
        scan, progress = self._start(cursor), ScanProgress(cursor)
        waiting: list[tuple[str, str]] = []  # a key, and the cursor of its page

        def report() -> None:
            progress.cursor = waiting[0][1] if waiting else finished
            progress.pages, progress.commands = scan.pages, scan.commands
            progress.deleted = scan.deleted
            on_progress(progress)

        is_done = False
        while not is_done:
            full = waiting[: self._batch] if len(waiting) >= self._batch else []
            page = scan.cursor
            keys = yield from self._fetch_keys(scan, progress, _list_keys(full))
            waiting = waiting[len(full) :] + [(key, page) for key in keys]
            is_done = self._is_done(scan, progress)
            # A limit may leave keys on the last page.
            finished = page if is_done and progress.matched == self._limit else scan.cursor
            report()
            while len(waiting) > self._batch or (is_done and waiting):
                yield from scan.delete(_list_keys(waiting[: self._batch]))
                waiting = waiting[self._batch :]
                report()
        return progress

    def _start(self, cursor: str) -> KeyScan:
        selector = self._selector
        return KeyScan(selector.pattern, selector.matches, cursor=cursor, needs_server=True)

    def _is_done(self, scan: KeyScan, progress: ScanProgress) -> bool:
        limited = progress.matched == self._limit
        progress.complete = scan.is_complete and not limited
        return scan.is_complete or limited or scan.pages == self._max_pages

    def _fetch_keys(
        self, scan: KeyScan, progress: ScanProgress, to_delete: Sequence[str] = ()
    ) -> Plan[list[str]]:
        found = dict.fromkeys((yield from scan.fetch_page(to_delete)))
        keys = [key for key in found if not self._selector.exclude(key)]
        progress.excluded += len(found) - len(keys)
        if self._selector.ttl is not None and keys:
            ttls = yield from call_many([("PTTL", key) for key in keys], needs_server=True)
            scan.commands += len(keys)
            keys = [key for key, ms in zip(keys, ttls, strict=True) if self._selector.ttl(ms)]
        if self._limit is not None:
            keys = keys[: self._limit - progress.matched]
        progress.matched += len(keys)
        return keys


def _list_keys(waiting: Sequence[tuple[str, str]]) -> list[str]:
    return [key for key, _ in waiting]
