"""Reads one page of a collection: lists and sorted sets by position, hashes and sets by cursor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from continuum_upstash.errors import ReplyError
from continuum_upstash.panel.key_browser.position import Position
from continuum_upstash.plans.effects import Plan, call

PAGE: Final = 50  # elements

Pair: TypeAlias = tuple[bytes, bytes]

LENGTH_COMMANDS: Final[Mapping[str, str]] = MappingProxyType(
    {"hash": "HLEN", "list": "LLEN", "set": "SCARD", "stream": "XLEN", "zset": "ZCARD"}
)
"""The command that counts the elements, by type."""


@dataclass(frozen=True, slots=True)
class ElementPage:
    """Some elements of a collection.

    Attributes:
        pairs: a label (a field, a score, an ID, an index; empty for the members of a set) and a
            value.
        following: where the next page begins; None: there is none. Its `looked` is a number of
            elements to skip.
    """

    pairs: Sequence[Pair]
    following: Position | None


def fetch_elements(kind: str, full_key: str, start: Position) -> Plan[ElementPage]:
    """Return one page of a collection. Billed: 1 command.

    Raises:
        Unavailable: the database does not reply.
        ReplyError: it refuses the command, the type has changed, or the reply is none to it.
    """
    try:
        return (yield from _FETCHERS[kind](full_key, start))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ReplyError(
            f"Unexpected reply: the elements of a {kind} could not be read."
        ) from error


def _cut(pairs: Sequence[Pair], following: Position) -> ElementPage:
    return ElementPage(pairs[:PAGE], following if len(pairs) > PAGE else None)


def _split_pairs(items: Sequence[bytes]) -> list[Pair]:
    return list(zip(items[::2], items[1::2], strict=True))


def _fetch_list(full_key: str, start: Position) -> Plan[ElementPage]:
    first = start.looked
    values = yield from call("LRANGE", full_key, first, first + PAGE, needs_server=True)
    pairs = [(b"%d" % (first + number), each) for number, each in enumerate(values)]
    return _cut(pairs, Position(looked=first + PAGE))


def _fetch_sorted_set(full_key: str, start: Position) -> Plan[ElementPage]:
    first = start.looked
    items = yield from call(
        "ZRANGE", full_key, first, first + PAGE, "WITHSCORES", needs_server=True
    )
    pairs = [(score, member) for member, score in _split_pairs(items)]
    return _cut(pairs, Position(looked=first + PAGE))


def _fetch_stream(full_key: str, start: Position) -> Plan[ElementPage]:
    first = "-" if start.cursor == "0" else f"({start.cursor}"
    entries = yield from call("XRANGE", full_key, first, "+", "COUNT", PAGE + 1, needs_server=True)
    pairs = [
        (entry_id, b"\n".join(name + b": " + value for name, value in _split_pairs(fields)))
        for entry_id, fields in entries
    ]
    return _cut(pairs, Position(cursor=pairs[:PAGE][-1][0].decode() if pairs else "0"))


def _fetch_by_cursor(command: str, split: Callable[[Any], list[Pair]]) -> Callable[..., Any]:
    def fetch(full_key: str, start: Position) -> Plan[ElementPage]:
        cursor, items = yield from call(
            command, full_key, start.cursor, "COUNT", PAGE, needs_server=True
        )
        # A small collection is returned as a whole, whatever COUNT says.
        pairs = split(items)[start.looked :]
        if len(pairs) > PAGE:
            return _cut(pairs, Position(start.cursor, looked=start.looked + PAGE))
        following = cursor.decode("ascii")
        return ElementPage(pairs, None if following == "0" else Position(following))

    return fetch


_FETCHERS: Final[Mapping[str, Callable[[str, Position], Plan[ElementPage]]]] = MappingProxyType(
    {
        "hash": _fetch_by_cursor("HSCAN", _split_pairs),
        "list": _fetch_list,
        "set": _fetch_by_cursor("SSCAN", lambda items: [(b"", each) for each in items]),
        "stream": _fetch_stream,
        "zset": _fetch_sorted_set,
    }
)
