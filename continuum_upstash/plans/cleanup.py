"""Deletes the keys that match, page by page: memory stays constant over millions of keys.

A full batch of what was found is deleted in the round trip that asks for the next page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.plans.scan import COUNT
from continuum_upstash.protocol import Command, Replies


@dataclass(frozen=True, slots=True)
class Target:
    """Which keys.

    Attributes:
        pattern: SCAN's glob for full keys.
        matches: whether a full key that SCAN found is really meant.
        spares: whether a key is left alone though it matches.
        ttl: whether a time to live, as PTTL tells it (ms; -1: none), is meant; None: any is.
            Asking costs one billed command for each key that matches.
    """

    pattern: str
    matches: Callable[[str], bool]
    spares: Callable[[str], object]
    ttl: Callable[[int], bool] | None = None


@dataclass(slots=True)
class Walk:
    """How far a walk is.

    Attributes:
        cursor: where to go on after an interruption, so that no key is missed.
        complete: whether it came to the last page, and not to a limit.
        pages: SCANs so far.
        matched: keys that are meant.
        spared: keys that match and are left alone.
        deleted: of these, how many were there when their UNLINK came.
        commands: billed commands so far.
    """

    cursor: str = "0"
    complete: bool = False
    pages: int = 0
    matched: int = 0
    spared: int = 0
    deleted: int = 0
    commands: int = 0


class Sweep:
    """Walks the keys of a database and deletes those of a target.

    Args:
        send: the database.
        target: which keys.
        batch: most keys of one UNLINK.
        limit: stop after so many keys; None: go on to the end.
        pages: stop after so many SCANs; None: as before.
    """

    def __init__(
        self,
        send: Callable[[Batch], Replies],
        target: Target,
        *,
        batch: int = COUNT,
        limit: int | None = None,
        pages: int | None = None,
    ) -> None:
        self._send, self._target = send, target
        self._batch, self._limit, self._pages = batch, limit, pages

    def count(self, cursor: str = "0") -> Iterator[Walk]:
        """Walk without deleting; yield the same object after each page."""
        walk, ended = Walk(cursor), False  # its cursor stays: nothing is done yet
        while not ended:
            cursor, found = self._page(walk, cursor, ())
            walk.matched += len(found)
            ended = self._ended(walk, cursor)
            yield walk

    def cost(self, counted: Walk) -> int:
        """Return the billed commands of deleting what `count` counted."""
        return counted.commands + -(-counted.matched // self._batch)

    def delete(self, cursor: str = "0") -> Iterator[Walk]:
        """Delete; yield the same object after each round trip.

        Args:
            cursor: where to go on, from an earlier walk.
        """
        walk, ended = Walk(cursor), False
        waiting: list[tuple[str, str]] = []  # a name, and the cursor of the page that it is on
        while not ended:
            due = waiting[: self._batch] if len(waiting) >= self._batch else []
            page, (cursor, found) = cursor, self._page(walk, cursor, _names(due))
            waiting = waiting[len(due) :] + [(name, page) for name in found]
            walk.matched += len(found)
            ended = self._ended(walk, cursor)
            # The limit may have left keys of the last page.
            done = page if ended and walk.matched == self._limit else cursor
            walk.cursor = waiting[0][1] if waiting else done
            yield walk
            while len(waiting) > self._batch or (ended and waiting):
                walk.deleted += self._sent(walk, [_unlink(_names(waiting[: self._batch]))])[0]
                waiting = waiting[self._batch :]
                walk.cursor = waiting[0][1] if waiting else done
                yield walk

    def _ended(self, walk: Walk, cursor: str) -> bool:
        limited = walk.matched == self._limit
        walk.complete = cursor == "0" and not limited
        return cursor == "0" or limited or walk.pages == self._pages

    def _page(self, walk: Walk, cursor: str, doomed: Sequence[str]) -> tuple[str, list[str]]:
        """Delete and ask for a page; return the next cursor and the names that are meant."""
        scan: Command = ("SCAN", cursor, "MATCH", self._target.pattern, "COUNT", COUNT)
        *deleted, (after, raw) = self._sent(walk, [*map(_unlink, [doomed] if doomed else []), scan])
        walk.deleted += sum(deleted)
        walk.pages += 1
        names = self._filtered(walk, list(dict.fromkeys(self._meant(walk, raw))))
        room = None if self._limit is None else self._limit - walk.matched
        return after.decode("ascii"), names[:room]

    def _meant(self, walk: Walk, raw: Sequence[bytes]) -> Iterator[str]:
        for each in raw:
            try:
                name = each.decode()
            except UnicodeDecodeError:
                continue  # somebody else's: our names are text
            if not self._target.matches(name):
                continue
            if self._target.spares(name):
                walk.spared += 1
            else:
                yield name

    def _filtered(self, walk: Walk, names: list[str]) -> list[str]:
        wanted = self._target.ttl
        if wanted is None or not names:
            return names
        left = self._sent(walk, [("PTTL", name) for name in names])
        return [name for name, ms in zip(names, left, strict=True) if wanted(ms)]

    def _sent(self, walk: Walk, commands: Sequence[Command]) -> list[Any]:
        walk.commands += len(commands)
        replies = self._send(Batch(commands, needs_server=True))
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise reply
        return replies


def _names(waiting: Sequence[tuple[str, str]]) -> list[str]:
    return [name for name, _ in waiting]


def _unlink(names: Sequence[str]) -> Command:
    return ("UNLINK", *names)
