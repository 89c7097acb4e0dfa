"""The plan that copies keys, in constant memory.

It runs on the target's database. What it reads from the source are plans, too: `run_source` runs
them. Sync and async therefore share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Final, TypeAlias

from continuum_upstash.errors import ReplyError, RequestTooLarge, Unavailable
from continuum_upstash.keys import MIGRATION_COPY_KEYS
from continuum_upstash.migration.copying.entries import (
    GROUP_BYTES,
    STRING,
    CopyProgress,
    Entry,
    OnProblem,
    Outcome,
    Problem,
)
from continuum_upstash.migration.copying.link import PAUSES, Link
from continuum_upstash.migration.copying.reader import (
    COLLECTIONS,
    PAGE_ITEMS,
    SourceReader,
    split_into_groups,
)
from continuum_upstash.migration.copying.values import Unreadable, ValueConverter
from continuum_upstash.plans.effects import Compute, Plan, Sleep
from continuum_upstash.protocol import Command, Reply

RunPlan: TypeAlias = Callable[[Plan[Any]], Any]

_COLLECTION_COMMANDS: Final = 5  # EXISTS, UNLINK, PEXPIRE twice, RENAMENX
_TEMPORARY_MS: Final = 3_600_000  # a copy that is killed leaves such a key for an hour
_ADD: Final = {"hash": "HSET", "list": "RPUSH", "set": "SADD", "zset": "ZADD"}
_ABOVE_REQUEST_LIMIT: Final = "for the request limit of the server"


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """
    Attributes:
        overwrite: replace keys that exist in the target.
        min_ttl: keys with a shorter remaining lifetime, in seconds, are not copied.
        max_value_bytes: larger strings are not copied.
        rate: the most keys per second; None: no limit.
        strings_only: no hashes, lists and sets are copied.
        dry_run: only count.
    """

    overwrite: bool = False
    min_ttl: float = 0
    max_value_bytes: int = 8 * 1024 * 1024
    rate: int | None = None
    strings_only: bool = False
    dry_run: bool = False


class KeyCopier:
    """Copies the keys of a reader.

    Args:
        reader: reads the source.
        run_source: runs a plan on the source's database; async: returns a coroutine.
        converter: converts the values.
        options: what is copied.
        progress: from an earlier run; it is updated.
        on_problem: called with each key that is not copied although it should be.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        reader: SourceReader,
        run_source: RunPlan,
        converter: ValueConverter,
        options: CopyOptions,
        *,
        progress: CopyProgress | None = None,
        on_problem: OnProblem = lambda _: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._reader, self._run_source, self._converter = reader, run_source, converter
        self._options, self._on_problem, self._clock = options, on_problem, clock
        self._link = Link()
        self.progress = progress or CopyProgress()

    def copy(self, on_progress: Callable[[CopyProgress], object] = lambda _: None) -> Plan[None]:
        """Copy page by page.

        Args:
            on_progress: called after each page, always with the same object.

        Raises:
            ContinuumError: a database is unreachable or full. `progress` is that of the last page.
        """
        started, before = self._clock(), self.progress.scanned
        earlier = self.progress.source_commands, self.progress.target_commands
        while not self._reader.is_complete:
            entries = yield from self._run_on_source(self._reader.read_page)
            yield from self._copy_page(self._select(entries))
            progress = self.progress
            progress.cursor, progress.complete = self._reader.cursor, self._reader.is_complete
            progress.pages += 1
            progress.source_commands = earlier[0] + self._reader.commands
            progress.target_commands = earlier[1] + self._link.commands
            on_progress(progress)
            if self._options.rate is not None and not progress.complete:
                due = started + (progress.scanned - before) / self._options.rate
                yield Sleep(max(due - self._clock(), 0))

    def estimate_commands(self) -> tuple[int, int]:
        """Return the commands on source and target that a copy takes after a dry run."""
        progress = self.progress
        selected = progress.get(Outcome.SELECTED)
        others = sum(progress.types.get(kind, 0) for kind in COLLECTIONS)
        others -= progress.get(Outcome.ONE_SIDED)
        groups = progress.pages + progress.bytes // GROUP_BYTES
        pages = others and others + progress.items // PAGE_ITEMS
        source = progress.source_commands + 2 * groups + pages + others
        return source, max(selected - others, 0) + _COLLECTION_COMMANDS * others + pages

    def _select(self, entries: Sequence[Entry]) -> list[Entry]:
        """Count the entries of a page; return those to copy."""
        progress, options = self.progress, self._options
        now, selected = self._clock(), []
        for entry in entries:
            progress.scanned += 1
            progress.bytes += entry.size
            progress.items += entry.items
            progress.types[entry.kind] = progress.types.get(entry.kind, 0) + 1
            if entry.kind != STRING and entry.kind not in COLLECTIONS:
                self._report(entry, Outcome.UNSUPPORTED, f"type {entry.kind}")
            elif options.strings_only and entry.kind != STRING:
                progress.count(Outcome.ONE_SIDED)
            elif entry.expires_at is not None and entry.expires_at - now < options.min_ttl:
                progress.count(Outcome.EXPIRING)
            elif entry.size > options.max_value_bytes:
                self._report(entry, Outcome.TOO_LARGE, f"{entry.size} bytes")
            else:
                selected.append(entry)
        if options.dry_run:
            progress.count(Outcome.SELECTED, len(selected))
        return selected

    def _copy_page(self, entries: Sequence[Entry]) -> Plan[None]:
        if self._options.dry_run:
            return
        strings = [entry for entry in entries if entry.kind == STRING]
        for group in split_into_groups(strings):
            yield from self._copy_strings(group)
        for entry in entries:
            if entry.kind != STRING:
                yield from self._copy_collection(entry)

    # ---- strings

    def _copy_strings(self, entries: Sequence[Entry]) -> Plan[None]:
        raws = yield from self._run_on_source(partial(self._reader.read_strings, entries))
        pairs: list[tuple[Entry, bytes]] = []
        for entry, raw in zip(entries, raws, strict=True):
            if raw is None:
                self.progress.count(Outcome.EXPIRED)
                continue
            try:
                pairs.append((entry, (yield from self._converter.convert(raw))))
            except Unreadable as error:
                self._report(entry, Outcome.UNREADABLE, str(error))
        now = self._clock()
        alive = [pair for pair in pairs if _is_alive(pair[0], now)]
        self.progress.count(Outcome.EXPIRED, len(pairs) - len(alive))
        if alive:
            stored = yield from self._store(alive)
            yield from self._undo_deleted(stored)

    def _store(self, pairs: Sequence[tuple[Entry, bytes]]) -> Plan[list[Entry]]:
        """Store values; return what the target now has from this copy."""
        condition = () if self._options.overwrite else ("NX",)
        now = self._clock()
        commands = [_make_set(entry, data, now) + condition for entry, data in pairs]
        try:
            replies = yield from self._link.send(commands)
        except RequestTooLarge as error:
            if len(pairs) == 1:
                replies = [error]
            else:
                half = len(pairs) // 2
                first = yield from self._store(pairs[:half])
                return first + (yield from self._store(pairs[half:]))
        may_be_own = self._link.was_repeated
        stored = []
        for (entry, _), reply in zip(pairs, replies, strict=True):
            if isinstance(reply, RequestTooLarge):
                self._report(entry, Outcome.TOO_LARGE, _ABOVE_REQUEST_LIMIT)
            elif isinstance(reply, ReplyError):
                raise reply
            else:
                self.progress.count(Outcome.EXISTING if reply is None else Outcome.COPIED)
                if reply is not None or may_be_own:
                    stored.append(entry)
        return stored

    def _undo_deleted(self, entries: Sequence[Entry]) -> Plan[None]:
        """Delete from the target what was deleted from the source after it was read.

        Otherwise a value that the application has deleted on both sides would come back.
        """
        if not entries:
            return
        deleted = yield from self._run_on_source(partial(self._reader.find_deleted, entries))
        if deleted:
            yield from self._link.call("UNLINK", *(entry.target_key for entry in deleted))
            self.progress.count(Outcome.DELETED, len(deleted))
            self.progress.count(Outcome.COPIED, -len(deleted))

    # ---- other types

    def _copy_collection(self, entry: Entry) -> Plan[None]:
        """Copy to a temporary key, which is then renamed: the target never has a part of it."""
        if not self._options.overwrite and (yield from self._link.call("EXISTS", entry.target_key)):
            self.progress.count(Outcome.EXISTING)
            return
        temporary = f"{MIGRATION_COPY_KEYS}{entry.target_key}"
        try:
            outcome = yield from self._move_repeatedly(entry, temporary)
        except (Unreadable, RequestTooLarge) as error:
            yield from self._link.call("UNLINK", temporary)
            if isinstance(error, Unreadable):
                self._report(entry, Outcome.UNREADABLE, str(error))
            else:
                self._report(entry, Outcome.TOO_LARGE, _ABOVE_REQUEST_LIMIT)
            return
        self.progress.count(outcome)
        if outcome is Outcome.COPIED:
            yield from self._undo_deleted([entry])

    def _move_repeatedly(self, entry: Entry, temporary: str) -> Plan[Outcome]:
        """Start again after an outage: RPUSH must not be sent twice."""
        for pause in PAUSES:
            try:
                return (yield from self._move(entry, temporary))
            except Unavailable:
                yield Sleep(pause)
        return (yield from self._move(entry, temporary))

    def _move(self, entry: Entry, temporary: str) -> Plan[Outcome]:
        has_items = yield from self._fill(entry, temporary)
        if has_items and _is_alive(entry, self._clock()):
            is_renamed = yield from self._rename(entry, temporary)
            outcome = Outcome.COPIED if is_renamed else Outcome.EXISTING
        else:
            outcome = Outcome.EXPIRED
        if outcome is not Outcome.COPIED:
            yield from self._link.call("UNLINK", temporary)
        return outcome

    def _fill(self, entry: Entry, temporary: str) -> Plan[bool]:
        """Copy the items; return whether there are any."""
        yield from self._link.call("UNLINK", temporary)
        cursor, has_items, is_complete = "0", False, False
        while not is_complete:
            page = partial(self._reader.read_items, entry, cursor)
            cursor, items = yield from self._run_on_source(page)
            is_complete = cursor == "0"
            arguments = yield from self._converter.convert_items(entry.kind, items)
            if not arguments:
                continue
            commands: list[Command] = [(_ADD[entry.kind], temporary, *arguments)]
            if not has_items:
                commands.append(("PEXPIRE", temporary, _TEMPORARY_MS))
            _raise_first((yield from self._link.send(commands, is_repeatable=False)))
            has_items = True
        return has_items

    def _rename(self, entry: Entry, temporary: str) -> Plan[bool]:
        """Return whether the collection has its final key, with its expiry."""
        rename = "RENAME" if self._options.overwrite else "RENAMENX"
        expire: Command = ("PERSIST", temporary)
        if entry.expires_at is not None:
            expire = ("PEXPIRE", temporary, _to_ms(entry.expires_at - self._clock()))
        commands = [expire, (rename, temporary, entry.target_key)]
        replies = yield from self._link.send(commands, atomic=True, is_repeatable=False)
        _raise_first(replies)
        return replies[1] != 0

    # ----

    def _run_on_source(self, make_plan: Callable[[], Plan[Any]]) -> Plan[Any]:
        return (yield Compute(lambda: self._run_source(make_plan())))

    def _report(self, entry: Entry, outcome: Outcome, detail: str) -> None:
        self.progress.count(outcome)
        self._on_problem(Problem(entry.key, outcome, detail))


def _make_set(entry: Entry, data: bytes, now: float) -> Command:
    if entry.expires_at is None:
        return ("SET", entry.target_key, data)
    return ("SET", entry.target_key, data, "PX", _to_ms(entry.expires_at - now))


def _to_ms(seconds: float) -> int:
    return max(round(seconds * 1000), 1)


def _is_alive(entry: Entry, now: float) -> bool:
    return entry.expires_at is None or entry.expires_at > now


def _raise_first(replies: Iterable[Reply]) -> None:
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise reply
