"""Plans that read the keys and values of the source. They run on its database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any, Final, NamedTuple

from continuum_upstash.errors import ReplyError
from continuum_upstash.keys import KeyPattern
from continuum_upstash.migration.copying.entries import GROUP_BYTES, STRING, Entry
from continuum_upstash.migration.copying.link import Link
from continuum_upstash.plans.effects import Plan
from continuum_upstash.protocol import Reply

PAGE_ITEMS: Final = 200  # of a hash, set, list or sorted set that are in memory at once

_LENGTHS: Final = {
    "hash": "HLEN",
    "list": "LLEN",
    "set": "SCARD",
    "zset": "ZCARD",
}
_SCANS: Final = {"hash": "HSCAN", "set": "SSCAN", "zset": "ZSCAN"}
COLLECTIONS: Final = frozenset(_LENGTHS)


class KeyMap(NamedTuple):
    """Which keys of the source are copied, and to which keys of the target.

    Attributes:
        pattern: matches the full keys of the source.
        make_target_key: returns the target's full key of the source's full key.
        kind: only keys of this Redis type; None: of every type.
    """

    pattern: KeyPattern
    make_target_key: Callable[[str], str]
    kind: str | None = None


class SourceReader:
    """Reads the source page by page.

    Attributes:
        cursor: where the next page starts.
        pages: SCANs so far.

    Args:
        keys: which keys.
        cursor: where to start, from an earlier run.
        count: keys that the server examines per page.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        keys: KeyMap,
        *,
        cursor: str = "0",
        count: int = 1000,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._keys, self._count, self._clock = keys, count, clock
        self._link = Link()
        self._has_type_filter = keys.kind is not None
        self.cursor = cursor
        self.pages = 0

    @property
    def commands(self) -> int:
        """The commands that were sent so far."""
        return self._link.commands

    @property
    def is_complete(self) -> bool:
        return self.pages > 0 and self.cursor == "0"

    def read_page(self, selects: Callable[[str], bool] = lambda _: True) -> Plan[list[Entry]]:
        """Return the keys of the next page, with type, size and expiry.

        It costs 1 command, 2 for each key, and 2 more for each key that is no string.

        Args:
            selects: whether a full key of the source is read.
        """
        cursor, raw_keys = yield from self._scan()
        names = dict.fromkeys(_decode(raw_keys))
        pattern = self._keys.pattern
        found = [name for name in names if pattern.matches(name) and selects(name)]
        entries = (yield from self.inspect(found)) if found else []
        self.cursor = cursor
        self.pages += 1
        return entries

    def _scan(self) -> Plan[tuple[str, Sequence[bytes]]]:
        scan = ("SCAN", self.cursor, "MATCH", self._keys.pattern.pattern, "COUNT", self._count)
        if self._has_type_filter:
            (reply,) = yield from self._link.send([(*scan, "TYPE", str(self._keys.kind))])
            if not isinstance(reply, ReplyError):
                return _split_page(reply)
            self._has_type_filter = False  # Redis before 6
        return _split_page((yield from self._link.call(*scan)))

    def inspect(self, names: Sequence[str]) -> Plan[list[Entry]]:
        """Return the keys that exist, with type, size and expiry."""
        commands = [(name, key) for key in names for name in ("STRLEN", "PTTL")]
        replies = yield from self._link.send(commands)
        now = self._clock()
        others = [
            name
            for name, size in zip(names, replies[::2], strict=True)
            if isinstance(size, ReplyError)
        ]
        lengths = yield from self._read_lengths(others)
        entries = []
        for name, size, ttl in zip(names, replies[::2], replies[1::2], strict=True):
            kind, items = lengths.get(name, (STRING, 0))
            if not isinstance(ttl, int):
                raise _to_error(ttl)
            if ttl == -2 or self._keys.kind not in {None, kind}:
                continue
            expires_at = None if ttl == -1 else now + ttl / 1000
            length = size if isinstance(size, int) else 0
            target_key = self._keys.make_target_key(name)
            entries.append(Entry(name, target_key, kind, length, items, expires_at))
        return entries

    def _read_lengths(self, names: Sequence[str]) -> Plan[dict[str, tuple[str, int]]]:
        """Return type and length of the keys that are no strings."""
        if not names:
            return {}
        replies = yield from self._link.send([("TYPE", name) for name in names])
        kinds = [bytes(_expect(reply)).decode() for reply in replies]
        known = [pair for pair in zip(names, kinds, strict=True) if pair[1] in _LENGTHS]
        lengths: dict[str, int] = {}
        if known:
            replies = yield from self._link.send([(_LENGTHS[kind], name) for name, kind in known])
            for (name, _), reply in zip(known, replies, strict=True):
                # An error: the key was replaced by one of another type.
                lengths[name] = reply if isinstance(reply, int) else 0
        return {name: (kind, lengths.get(name, 0)) for name, kind in zip(names, kinds, strict=True)}

    def read_strings(self, entries: Sequence[Entry]) -> Plan[list[bytes | None]]:
        """Return the values of a group from `split_into_groups`; None: missing. 1 command."""
        values: list[bytes | None]
        values = yield from self._link.call("MGET", *(entry.key for entry in entries))
        return values

    def find_deleted(self, entries: Sequence[Entry]) -> Plan[list[Entry]]:
        """Return those that no longer exist: 1 command, and 1 for each key if one is missing."""
        existing = yield from self._link.call("EXISTS", *(entry.key for entry in entries))
        if existing == len(entries):
            return []
        replies = yield from self._link.send([("EXISTS", entry.key) for entry in entries])
        return [entry for entry, reply in zip(entries, replies, strict=True) if reply == 0]

    def read_items(self, entry: Entry, cursor: str) -> Plan[tuple[str, list[bytes]]]:
        """Return the next cursor and a page of a collection, as its command returns it.

        That are fields and values of a hash, members and scores of a sorted set. 1 command.
        """
        if entry.kind == "list":
            start = int(cursor)
            items = yield from self._link.call("LRANGE", entry.key, start, start + PAGE_ITEMS - 1)
            return (str(start + PAGE_ITEMS) if len(items) == PAGE_ITEMS else "0"), items
        command = (_SCANS[entry.kind], entry.key, cursor, "COUNT", PAGE_ITEMS)
        following, items = yield from self._link.call(*command)
        return following.decode("ascii"), items

    def read_size(self) -> Plan[int]:
        """Return the number of keys in the source's database, of every alias. 1 command."""
        size: int = yield from self._link.call("DBSIZE")
        return size

    def read_run_id(self) -> Plan[str]:
        """Return the id of the server's process; "" if it has none. No billed command.

        After a restart, a cursor of SCAN may be at another place.
        """
        (reply,) = yield from self._link.send([("INFO", "server")])
        self._link.commands -= 1  # not billed
        if not isinstance(reply, bytes):
            return ""
        lines = reply.decode("utf-8", "replace").splitlines()
        return next((line[7:].strip() for line in lines if line.startswith("run_id:")), "")


def split_into_groups(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Return strings in groups whose values fit in memory; a larger one is a group of its own."""
    group: list[Entry] = []
    size = 0
    for entry in entries:
        if group and size + entry.size > GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(entry)
        size += entry.size
    if group:
        yield group


def _split_page(reply: Any) -> tuple[str, Sequence[bytes]]:
    cursor, names = reply
    return cursor.decode("ascii"), names


def _decode(raw_keys: Sequence[bytes]) -> Iterator[str]:
    for raw in raw_keys:
        try:
            yield raw.decode()
        except UnicodeDecodeError:
            continue  # another program's: keys of Django's caches are text


def _expect(reply: Reply) -> Any:
    if isinstance(reply, ReplyError):
        raise reply
    return reply


def _to_error(reply: Reply) -> ReplyError:
    return reply if isinstance(reply, ReplyError) else ReplyError(f"PTTL returned {reply!r}")
