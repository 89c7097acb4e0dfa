"""Plans that find or delete keys by pattern: SCAN in large pages, never KEYS.

A SCAN is one billed command whatever its COUNT, so pages are large: a million keys cost a
thousand commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from continuum_upstash.plans.effects import Plan, call, call_many
from continuum_upstash.protocol import Command

COUNT: Final = 1_000


class KeyScan:
    """The SCAN loop: call `fetch_page` until `is_complete`.

    Attributes:
        cursor: where the next page starts; "0" at the start and at the end.
        pages: SCANs so far.
        commands: billed commands so far.
        deleted: keys deleted so far.

    Args:
        pattern: SCAN's glob, for full keys.
        matches: whether a key that SCAN found is wanted; None: all are.
        cursor: where to start, from an earlier scan.
        count: keys that the server examines per page.
        needs_server: as in Batch. A SCAN always needs the server; an UNLINK alone may be run by the
            local fallback, which repeats it on the server after an outage.
    """

    def __init__(
        self,
        pattern: str,
        matches: Callable[[str], bool] | None = None,
        *,
        cursor: str = "0",
        count: int = COUNT,
        needs_server: bool = False,
    ) -> None:
        self._pattern, self._matches, self._count = pattern, matches, count
        self._needs_server = needs_server
        self.cursor = cursor
        self.pages = self.commands = self.deleted = 0

    @property
    def is_complete(self) -> bool:
        return self.pages > 0 and self.cursor == "0"

    def fetch_page(self, to_delete: Sequence[str] = ()) -> Plan[list[str]]:
        """Return the wanted keys of the next page. SCAN may return a key twice.

        Args:
            to_delete: keys to delete in the same round trip.
        """
        scan = ("SCAN", self.cursor, "MATCH", self._pattern, "COUNT", self._count)
        cursor, raw_keys = yield from self._send(to_delete, scan)
        # A cursor can exceed 64 bits, so it stays text (Upstash docs, commands/generic/scan).
        self.cursor = cursor.decode("ascii")
        self.pages += 1
        keys = _decode(raw_keys)
        return keys if self._matches is None else [*filter(self._matches, keys)]

    def delete(self, keys: Sequence[str]) -> Plan[None]:
        """Delete keys, in one command."""
        if keys:
            yield from self._send(keys)

    def _send(self, to_delete: Sequence[str], *more: Command) -> Plan[Any]:
        """Send an UNLINK, if there are keys, and `more`; return the reply to the last command."""
        commands = [("UNLINK", *to_delete), *more] if to_delete else more
        replies = yield from call_many(commands, needs_server=self._needs_server)
        self.commands += len(commands)
        if to_delete:
            self.deleted += replies[0]
        return replies[-1]


def find_keys(pattern: str, matches: Callable[[str], bool] | None = None) -> Plan[list[str]]:
    """Return all keys that match, each once: one billed command per page."""
    scan = KeyScan(pattern, matches)
    found: dict[str, None] = {}
    while not scan.is_complete:
        found |= dict.fromkeys((yield from scan.fetch_page()))
    return list(found)


def delete_keys(
    pattern: str, matches: Callable[[str], bool] | None = None, count: int = COUNT
) -> Plan[int]:
    """Delete the keys that match; return how many.

    The UNLINK for a page is sent with the SCAN for the next: one round trip per page, and one.
    """
    scan = KeyScan(pattern, matches, count=count)
    keys: list[str] = []
    while not scan.is_complete:
        keys = yield from scan.fetch_page(keys)
    yield from scan.delete(keys)
    return scan.deleted


def flush() -> Plan[None]:
    """Delete every key of the database, including those of other programs."""
    yield from call("FLUSHDB")


def _decode(raw_keys: Sequence[bytes]) -> list[str]:
    keys = []
    for raw in raw_keys:
        try:
            keys.append(raw.decode())
        except UnicodeDecodeError:
            continue  # another program's: our keys are text
    return keys
