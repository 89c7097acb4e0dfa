"""The plan that compares keys of the source with those of the target, in constant memory.

Like `KeyCopier`, it runs on the target's database, and `run_source` runs the plans on the source's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import partial
from hashlib import blake2b
from time import monotonic
from typing import Any, Final, NamedTuple, TypeAlias

from continuum_upstash.codec.codec import Codec
from continuum_upstash.errors import ReplyError, RequestTooLarge
from continuum_upstash.keys import KeyPattern
from continuum_upstash.migration.copying.copier import RunPlan
from continuum_upstash.migration.copying.entries import STRING, Entry
from continuum_upstash.migration.copying.link import Link
from continuum_upstash.migration.copying.reader import COLLECTIONS, SourceReader, split_into_groups
from continuum_upstash.migration.copying.values import Unreadable, ValueConverter, are_equal
from continuum_upstash.plans.effects import Compute, Plan, Sleep
from continuum_upstash.protocol import Argument, Command, Replies, Reply
from continuum_upstash.stats.key_families import NO_FAMILY

TTL_DRIFT: Final = 2.0  # seconds
OTHER_FAMILIES: Final = "(other families)"
_MAX_FAMILIES: Final = 200
_LENGTHS: Final = {"hash": "HLEN", "list": "LLEN", "set": "SCARD", "zset": "ZCARD"}


class Comparison(StrEnum):
    """The result of comparing a key."""

    SAME = "same"
    MISSING = "missing"  # in the target
    VALUE = "value"  # the values differ
    TTL = "ttl"  # the remaining lifetimes differ by more than TTL_DRIFT
    GONE = "gone"  # from the source, since it was found
    SKIPPED = "skipped"  # a copy with the same options does not copy it


DIFFERENCES: Final = frozenset({Comparison.MISSING, Comparison.VALUE, Comparison.TTL})


class Sample(NamedTuple):
    """Which keys are compared.

    Attributes:
        share: of the keys, 0 to 1; the same ones in each run.
        limit: the number of keys after which the comparison ends; None: no limit.
    """

    share: float = 0.01
    limit: int | None = None

    def includes(self, key: str) -> bool:
        if self.share >= 1:
            return True
        digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest) < self.share * 2**64


@dataclass(slots=True)
class VerifyProgress:
    """How far a comparison is.

    Attributes:
        complete: whether the last page was reached.
        pages: SCANs so far.
        checked: keys that were compared.
        outcomes: number of keys by `Comparison`.
        families: the same for each key family.
        source_commands, target_commands: sent so far, each of them billed on Upstash.
    """

    complete: bool = False
    pages: int = 0
    checked: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    families: dict[str, dict[str, int]] = field(default_factory=dict)
    source_commands: int = 0
    target_commands: int = 0

    def count(self, family: str, outcome: Comparison) -> None:
        if family not in self.families and len(self.families) >= _MAX_FAMILIES:
            family = OTHER_FAMILIES
        for counts in (self.outcomes, self.families.setdefault(family, {})):
            counts[outcome] = counts.get(outcome, 0) + 1
        if outcome in DIFFERENCES or outcome is Comparison.SAME:
            self.checked += 1

    @property
    def differences(self) -> int:
        return sum(self.outcomes.get(each, 0) for each in DIFFERENCES)

    @property
    def difference_rate(self) -> float:
        """The fraction of the compared keys that differ, 0 to 1."""
        return self.differences / self.checked if self.checked else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self) | {"difference_rate": self.difference_rate}


OnDifference: TypeAlias = Callable[[str, Comparison], object]


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """
    Attributes:
        sample: which keys.
        min_ttl: keys with a shorter remaining lifetime, in seconds, are skipped.
        max_value_bytes: larger strings are skipped.
        rate: the most keys per second; None: no limit.
        strings_only: hashes, lists and sets are skipped.
    """

    sample: Sample
    min_ttl: float = 0
    max_value_bytes: int = 8 * 1024 * 1024
    rate: int | None = None
    strings_only: bool = False


class VerifyTarget(NamedTuple):
    """
    Attributes:
        pattern: extracts the key from a full key of the source.
        converter: converts the source's values to the target's format.
        codec: of the target.
    """

    pattern: KeyPattern
    converter: ValueConverter
    codec: Codec


class KeyVerifier:
    """Compares a sample of the keys of a reader.

    A key that differs is compared a second time, because the application may have written it
    between the two reads.

    Args:
        reader: reads the source.
        run_source: runs a plan on the source's database; async: returns a coroutine.
        target: how keys and values are compared with the target.
        options: what is compared.
        on_difference: called with each key of the source that differs.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        reader: SourceReader,
        run_source: RunPlan,
        target: VerifyTarget,
        options: VerifyOptions,
        *,
        on_difference: OnDifference = lambda _key, _outcome: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._reader, self._run_source, self._options = reader, run_source, options
        self._pattern, self._converter, self._codec = target
        self._on_difference, self._clock = on_difference, clock
        self._link = Link()
        self.progress = VerifyProgress()

    def verify(
        self, on_progress: Callable[[VerifyProgress], object] = lambda _: None
    ) -> Plan[None]:
        """Compare page by page.

        Args:
            on_progress: called after each page, always with the same object.

        Raises:
            ContinuumError: a database is unreachable.
        """
        options, progress, started = self._options, self.progress, self._clock()
        page = partial(self._reader.read_page, options.sample.includes)
        while not progress.complete and not self._is_limit_reached():
            entries = yield from self._run_on_source(page)
            if options.sample.limit is not None:
                entries = entries[: options.sample.limit - progress.checked]
            yield from self._check_page(entries)
            progress.pages += 1
            progress.complete = self._reader.is_complete
            progress.source_commands = self._reader.commands
            progress.target_commands = self._link.commands
            on_progress(progress)
            if options.rate is not None:
                yield Sleep(max(started + progress.checked / options.rate - self._clock(), 0))

    def _is_limit_reached(self) -> bool:
        limit = self._options.sample.limit
        return limit is not None and self.progress.checked >= limit

    def _check_page(self, entries: Sequence[Entry]) -> Plan[None]:
        outcomes = yield from self._compare(entries)
        differing = [key for key, outcome in outcomes.items() if outcome in DIFFERENCES]
        if differing:
            inspect = partial(self._reader.inspect, differing)
            again = yield from self._run_on_source(inspect)
            outcomes |= dict.fromkeys(differing, Comparison.GONE)
            outcomes |= yield from self._compare(again)
        for key, outcome in outcomes.items():
            self.progress.count(self._get_family(key), outcome)
            if outcome in DIFFERENCES:
                self._on_difference(key, outcome)

    def _get_family(self, key: str) -> str:
        family, colon, _ = self._pattern.extract_key(key).partition(":")
        return family + colon if colon else NO_FAMILY

    def _compare(self, entries: Sequence[Entry]) -> Plan[dict[str, Comparison]]:
        outcomes: dict[str, Comparison] = {}
        now, strings = self._clock(), []
        for entry in entries:
            if not self._is_copied(entry, now):
                outcomes[entry.key] = Comparison.SKIPPED
            elif entry.kind == STRING:
                strings.append(entry)
            else:
                outcomes[entry.key] = yield from self._compare_collection(entry)
        for group in split_into_groups(strings):
            outcomes |= yield from self._compare_strings(group)
        return outcomes

    def _is_copied(self, entry: Entry, now: float) -> bool:
        # A key that expires while it is compared would be missing on one side only.
        least = max(self._options.min_ttl, TTL_DRIFT)
        if entry.expires_at is not None and entry.expires_at - now < least:
            return False
        if entry.size > self._options.max_value_bytes:
            return False
        if entry.kind == STRING:
            return True
        return entry.kind in COLLECTIONS and not self._options.strings_only

    def _compare_strings(self, entries: Sequence[Entry]) -> Plan[dict[str, Comparison]]:
        raws = yield from self._run_on_source(partial(self._reader.read_strings, entries))
        names = [entry.target_key for entry in entries]
        commands: list[Command] = [("MGET", *names), *(("PTTL", name) for name in names)]
        replies = yield from self._send(commands)
        if isinstance(replies[0], RequestTooLarge):
            return {entry.key: Comparison.SKIPPED for entry in entries}
        found: Any = _expect(replies[0])
        outcomes = {}
        for entry, raw, actual, ttl in zip(entries, raws, found, replies[1:], strict=True):
            outcome = self._compare_presence(entry, _expect(ttl))
            if raw is None:
                outcome = Comparison.GONE
            elif actual is None:  # or it has another type
                outcome = Comparison.MISSING if _expect(ttl) == -2 else Comparison.VALUE
            else:
                try:
                    expected = yield from self._converter.convert(raw)
                except Unreadable:
                    outcome = Comparison.SKIPPED
                else:
                    if not are_equal(self._codec, expected, actual):
                        outcome = Comparison.VALUE
            outcomes[entry.key] = outcome
        return outcomes

    def _compare_presence(self, entry: Entry, ttl: Any) -> Comparison:
        """Compare the expiry with the target's reply to PTTL."""
        if ttl == -2:
            return Comparison.MISSING
        expires_at = None if ttl == -1 else self._clock() + ttl / 1000
        if expires_at is None or entry.expires_at is None:
            return Comparison.SAME if expires_at == entry.expires_at else Comparison.TTL
        is_close = abs(expires_at - entry.expires_at) <= TTL_DRIFT
        return Comparison.SAME if is_close else Comparison.TTL

    # ---- other types

    def _compare_collection(self, entry: Entry) -> Plan[Comparison]:
        length: Command = (_LENGTHS[entry.kind], entry.target_key)
        count, ttl = yield from self._send([length, ("PTTL", entry.target_key)])
        outcome = self._compare_presence(entry, _expect(ttl))
        if outcome is Comparison.MISSING:
            return outcome
        if count != entry.items:  # also an error: it has another type
            return Comparison.VALUE
        cursor, is_complete = "0", False
        while not is_complete:
            start = int(cursor)
            page = partial(self._reader.read_items, entry, cursor)
            cursor, items = yield from self._run_on_source(page)
            is_complete = cursor == "0"
            try:
                arguments = yield from self._converter.convert_items(entry.kind, items)
            except Unreadable:
                return Comparison.SKIPPED
            if arguments and not (yield from self._has_items(entry, start, arguments)):
                return Comparison.VALUE
        return outcome

    def _has_items(self, entry: Entry, start: int, arguments: list[Argument]) -> Plan[bool]:
        """Return whether the target's collection has the items of a page."""
        key = entry.target_key
        match entry.kind:
            case "list":
                reply = yield from self._call("LRANGE", key, start, start + len(arguments) - 1)
                return self._are_equal(arguments, reply)
            case "set":
                reply = yield from self._call("SMISMEMBER", key, *arguments)
                return 0 not in reply
            case "hash":
                reply = yield from self._call("HMGET", key, *arguments[::2])
                return self._are_equal(arguments[1::2], reply)
        reply = yield from self._call("ZMSCORE", key, *arguments[1::2])
        return None not in reply and [*map(float, reply)] == [*map(float, _texts(arguments[::2]))]

    def _are_equal(self, expected: Sequence[Argument], actual: Sequence[Any]) -> bool:
        return len(expected) == len(actual) and all(
            isinstance(one, bytes) and other is not None and are_equal(self._codec, one, other)
            for one, other in zip(expected, actual, strict=True)
        )

    # ----

    def _call(self, *command: Argument) -> Plan[Any]:
        return self._link.call(*command)

    def _send(self, commands: Sequence[Command]) -> Plan[Replies]:
        try:
            return (yield from self._link.send(commands))
        except RequestTooLarge as error:
            return [error] * len(commands)

    def _run_on_source(self, make_plan: Callable[[], Plan[Any]]) -> Plan[Any]:
        return (yield Compute(lambda: self._run_source(make_plan())))


def _expect(reply: Reply) -> Any:
    if isinstance(reply, ReplyError):
        raise reply
    return reply


def _texts(arguments: Sequence[Argument]) -> Iterator[str]:
    return map(str, arguments)
