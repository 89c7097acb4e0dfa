"""The plans that walk the keyspace: SCAN in large pages, never KEYS.

A SCAN is one billed command whatever its COUNT, so pages are large: a million keys cost a
thousand commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from continuum_upstash.plans.effects import Plan, call, call_many
from continuum_upstash.protocol import Command

COUNT: Final = 1_000


def page(pattern: str, cursor: str = "0", count: int = COUNT) -> Plan[tuple[str, list[str]]]:
    """Return the next cursor, "0" at the end, and some of the names that match."""
    return _page((yield from call(*_scan(pattern, cursor, count))))


def matching(pattern: str, wanted: Callable[[str], bool], count: int = COUNT) -> Plan[list[str]]:
    """Return all names that match, each once."""
    # SCAN may give a name twice while the keyspace is resized.
    found: dict[str, None] = {}
    cursor, names = yield from page(pattern, "0", count)
    while True:
        found |= dict.fromkeys(filter(wanted, names))
        if cursor == "0":
            return list(found)
        cursor, names = yield from page(pattern, cursor, count)


def delete_matching(pattern: str, wanted: Callable[[str], bool], count: int = COUNT) -> Plan[int]:
    """Delete what matches; return how many keys.

    A page's UNLINK travels with the next page's SCAN: as many round trips as pages, and one.
    """
    deleted = 0
    cursor, names = yield from page(pattern, "0", count)
    while True:
        doomed = [name for name in names if wanted(name)]
        commands: list[Command] = [("UNLINK", *doomed)] if doomed else []
        if cursor != "0":
            commands.append(_scan(pattern, cursor, count))
        replies = (yield from call_many(commands)) if commands else []
        deleted += replies[0] if doomed else 0
        if cursor == "0":
            return deleted
        cursor, names = _page(replies[-1])


def flush() -> Plan[None]:
    """Delete every key of the database, whoever wrote it."""
    yield from call("FLUSHDB")


def _scan(pattern: str, cursor: str, count: int) -> Command:
    return ("SCAN", cursor, "MATCH", pattern, "COUNT", count)


def _page(reply: Sequence[Any]) -> tuple[str, list[str]]:
    cursor, raw_names = reply
    names = []
    for raw in raw_names:
        try:
            names.append(raw.decode())
        except UnicodeDecodeError:
            continue  # somebody else's: our names are text
    # A cursor may be a number beyond 64 bits: it stays text (Upstash docs, commands/generic/scan).
    return cursor.decode("ascii"), names
