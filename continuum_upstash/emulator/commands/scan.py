"""SCAN with pages as the service cuts them: exactly COUNT keys, and a small keyspace in one."""

from collections import OrderedDict
from dataclasses import dataclass
from itertools import count
from typing import Final

from continuum_upstash.emulator.commands.translation import Step, Talk, Translation
from continuum_upstash.emulator.redis.connection import Connection
from continuum_upstash.emulator.redis.resp2 import Argv, Error, Reply
from continuum_upstash.emulator.usage import Ledger

_DEFAULT_COUNT: Final = 250
_CURSORS_KEPT: Final = 4096


@dataclass(frozen=True, slots=True)
class _Position:
    """Where the server's own scan stands, and what it gave beyond the page."""

    cursor: bytes = b"0"
    held: tuple[bytes, ...] = ()
    started: bool = False


@dataclass(frozen=True, slots=True)
class _Request:
    cursor: bytes
    count: int
    filters: tuple[bytes, ...]
    with_type: bool


class Cursors:
    """Hands out its own cursors: Valkey's pages are whole buckets, larger or smaller than asked.

    Keys held back for the next page may have been deleted meanwhile; SCAN may return those.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._positions: OrderedDict[bytes, _Position] = OrderedDict()
        # Beyond 2^53, as the service's may be: a client that reads them as floats fails here too.
        self._numbers = count(2**60)
        self.translations: dict[bytes, Translation] = {b"scan": self._scan}

    def _scan(self, argv: Argv) -> Step | Talk:
        request = _read(argv)
        if request is None:
            return Step((argv,))

        async def page(connection: Connection) -> Reply:
            return await self._page(connection, request)

        return page

    async def _page(self, connection: Connection, request: _Request) -> Reply:
        position = self._positions.get(request.cursor, _Position())
        keys, calls = list(position.held), 0
        while len(keys) < request.count and not (position.started and position.cursor == b"0"):
            scan = (b"SCAN", position.cursor, *request.filters, b"COUNT", b"%d" % request.count)
            (reply,) = await connection.send([scan])
            if isinstance(reply, Error):
                return reply
            calls += 1
            position = _Position(reply[0], started=True)
            keys += reply[1]
            if request.filters:
                break  # a filtered page may be empty, as COUNT is about keys looked at
        self._ledger.forgive(calls - 1)
        found, held = keys[: request.count], tuple(keys[request.count :])
        cursor = self._keep(_Position(position.cursor, held, started=True))
        return [cursor, await self._typed(connection, found) if request.with_type else found]

    def _keep(self, position: _Position) -> bytes:
        if position.cursor == b"0" and not position.held:
            return b"0"
        cursor = b"%d" % next(self._numbers)
        self._positions[cursor] = position
        if len(self._positions) > _CURSORS_KEPT:
            self._positions.popitem(last=False)
        return cursor

    async def _typed(self, connection: Connection, keys: list[bytes]) -> list[bytes]:
        types = await connection.send([(b"TYPE", key) for key in keys])
        self._ledger.forgive(len(keys))
        return [item for pair in zip(keys, types, strict=True) for item in pair]


def _read(argv: Argv) -> _Request | None:
    """None for what Valkey had better refuse in its own words."""
    page, filters, with_type = _DEFAULT_COUNT, [], False
    words = iter(argv[2:])
    for word in words:
        match word.upper():
            case b"WITHTYPE":
                with_type = True
            case b"COUNT":
                value = next(words, b"")
                if not value.isdigit() or int(value) < 1:
                    return None
                page = int(value)
            case b"MATCH" | b"TYPE":
                filters += [word, next(words, b"")]
            case _:
                return None
    if len(argv) < 2 or not argv[1].isdigit():
        return None
    return _Request(argv[1], page, tuple(filters), with_type)
