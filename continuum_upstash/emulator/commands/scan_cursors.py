"""SCAN with the service's pages: exactly COUNT keys each, 250 by default."""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import count
from typing import Final

from continuum_upstash.emulator.commands.translation import Dialogue, Step, Translation
from continuum_upstash.emulator.redis.resp2_wire import Argv, Error, Reply
from continuum_upstash.emulator.redis.upstream import UpstreamConnection
from continuum_upstash.emulator.usage import UsageCounter

_DEFAULT_COUNT: Final = 250
_MAX_CURSORS: Final = 4096


@dataclass(frozen=True, slots=True)
class _Position:
    """The cursor of the server, and the keys that it returned beyond the last page."""

    cursor: bytes = b"0"
    buffered: tuple[bytes, ...] = ()
    started: bool = False


@dataclass(frozen=True, slots=True)
class _ScanArguments:
    cursor: bytes
    count: int
    filters: tuple[bytes, ...]
    with_type: bool


class ScanCursors:
    """Returns cursors of its own: a page of Valkey consists of whole buckets, so its size varies.

    A key that is buffered for the next page may be deleted before it is returned. SCAN permits
    this.
    """

    def __init__(self, usage: UsageCounter) -> None:
        self._usage = usage
        self._positions: OrderedDict[bytes, _Position] = OrderedDict()
        # Beyond 2^53, like cursors of the service: a client that reads them as floats fails here.
        self._numbers = count(2**60)
        self.translations: dict[bytes, Translation] = {b"scan": self._translate_scan}

    def _translate_scan(self, argv: Argv) -> Step | Dialogue:
        arguments = _parse(argv)
        if arguments is None:
            return Step((argv,))

        async def read_page(connection: UpstreamConnection) -> Reply:
            return await self._read_page(connection, arguments)

        return read_page

    async def _read_page(self, connection: UpstreamConnection, arguments: _ScanArguments) -> Reply:
        position = self._positions.get(arguments.cursor, _Position())
        page_size, filters = arguments.count, arguments.filters
        keys, calls = list(position.buffered), 0
        while len(keys) < page_size and not (position.started and position.cursor == b"0"):
            scan = (b"SCAN", position.cursor, *filters, b"COUNT", b"%d" % page_size)
            (reply,) = await connection.send([scan])
            if isinstance(reply, Error):
                # An unknown TYPE is an error of Valkey; on the service, no key has that type.
                return [b"0", []] if reply.startswith(b"ERR unknown type") else reply
            calls += 1
            position = _Position(reply[0], started=True)
            keys += reply[1]
            if filters:
                break  # COUNT counts the keys before the filter, so a page may be empty
        self._usage.subtract(calls - 1)
        page, buffered = keys[:page_size], tuple(keys[page_size:])
        cursor = self._store_position(_Position(position.cursor, buffered, started=True))
        return [cursor, await self._add_types(connection, page) if arguments.with_type else page]

    def _store_position(self, position: _Position) -> bytes:
        """Return the cursor of the next page."""
        if position.cursor == b"0" and not position.buffered:
            return b"0"
        cursor = b"%d" % next(self._numbers)
        self._positions[cursor] = position
        if len(self._positions) > _MAX_CURSORS:
            self._positions.popitem(last=False)
        return cursor

    async def _add_types(self, connection: UpstreamConnection, keys: list[bytes]) -> list[bytes]:
        types = await connection.send([(b"TYPE", key) for key in keys])
        self._usage.subtract(len(keys))
        return [item for pair in zip(keys, types, strict=True) for item in pair]


def _parse(argv: Argv) -> _ScanArguments | None:
    """Return None for invalid arguments: Valkey then replies with its own error."""
    page_size, filters, with_type = _DEFAULT_COUNT, [], False
    words = iter(argv[2:])
    for word in words:
        match word.upper():
            case b"WITHTYPE":
                with_type = True
            case b"COUNT":
                value = next(words, b"")
                if not value.isdigit() or int(value) < 1:
                    return None
                page_size = int(value)
            case b"MATCH" | b"TYPE":
                filters += [word, next(words, b"")]
            case _:
                return None
    if len(argv) < 2 or not argv[1].isdigit():
        return None
    return _ScanArguments(argv[1], page_size, tuple(filters), with_type)
