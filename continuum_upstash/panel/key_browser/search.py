"""Finds keys: the exact key first, then the pattern, by a few SCANs for each page.

Over REST, a SCAN examines about 1,000 keys, whatever its COUNT, and is one billed command.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from continuum_upstash.errors import ConfigurationError, ReplyError
from continuum_upstash.keys import KeyPattern
from continuum_upstash.panel.key_browser.masking import (
    Protection,
    has_hidden_word,
    mask_key,
    reaches_hidden_part,
)
from continuum_upstash.panel.key_browser.position import START, Position
from continuum_upstash.panel.key_browser.scope import KeyScope, has_wildcards, make_glob
from continuum_upstash.plans import info
from continuum_upstash.plans.effects import Batch, Plan, call
from continuum_upstash.protocol import Command, Reply
from continuum_upstash.stats.key_families import NO_FAMILY, Family, FamilySampler

MAX_SCANS: Final = 5  # for each page
ROWS: Final = 100  # a page ends after the SCAN that reaches them
MAX_DETAILS: Final = 100
DETAIL_COMMANDS: Final = 3  # for each key: TYPE, PTTL, MEMORY USAGE
_FIRST_COUNT: Final = 100
_MAX_COUNT: Final = 1_000
_MAX_FAMILIES: Final = 12


@dataclass(frozen=True, slots=True)
class Details:
    """What the list shows about a key on request.

    Attributes:
        type: as TYPE returns it; empty: unknown.
        ttl_ms: None: no expiry; -2: unknown, or the key is gone.
        size: bytes that the server needs for it; None: unknown.
    """

    type: str = ""
    ttl_ms: int | None = -2
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One key of the list.

    Attributes:
        text: what is shown of the key.
        key: the key as the URL of its page names it; None: it has no page.
        protection: why it is protected.
        is_hidden: whether a part of the key is hidden by default.
        is_binary: whether it is not text, so that another program wrote it.
        is_exact: whether it is exactly the text of the search.
        details: on request.
    """

    text: str
    key: str | None = None
    protection: Protection | None = None
    is_hidden: bool = False
    is_binary: bool = False
    is_exact: bool = False
    details: Details | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """What to find.

    Attributes:
        scope: the keys to find it in.
        text: of the search; empty: all keys.
        position: where to continue.
        shows_hidden: whether keys are shown that are hidden by default.
        wants_details: whether to read the type, expiry and size of each key.
    """

    scope: KeyScope
    text: str = ""
    position: Position = START
    shows_hidden: bool = False
    wants_details: bool = False


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page of keys.

    Attributes:
        rows: the exact key first, then the others by name.
        position: where the next page begins.
        is_complete: whether there is none.
        total: keys in the database, about; None: unknown.
        families: of the keys of this page, the largest first.
        problem: why there is no list, without secrets.
    """

    rows: Sequence[Row] = ()
    position: Position = START
    is_complete: bool = True
    total: int | None = None
    families: Sequence[Family] = ()
    problem: str = ""


def find_keys(search: Search) -> Plan[SearchPage]:
    """Return one page of keys.

    Billed: at most MAX_SCANS SCANs; one TYPE for the text as an exact key, on the first page.

    Raises:
        Unavailable: the database does not reply.
        ReplyError: it refuses TYPE.
    """
    rows: dict[str | bytes, Row] = {}
    if search.position == START and search.text and "*" not in search.text:
        rows = yield from _find_exact(search)
        if rows and not has_wildcards(search.text):
            return (yield from _add_details(search, SearchPage(), rows))
    try:
        pattern = search.scope.make_pattern(make_glob(search.text))
        page, found = yield from _scan(search, pattern)
    except (ConfigurationError, ReplyError) as error:  # the key function, or a read-only token
        return (yield from _add_details(search, SearchPage(problem=str(error)), rows))
    for raw in sorted(found, key=_split_numbers):
        name = _decode(raw)
        if name not in rows and (row := _make_row(search, pattern, name)) is not None:
            rows[name] = row
    sampler = FamilySampler(pattern)
    sampler.add(
        name for name, row in rows.items() if isinstance(name, str) and row.protection is None
    )
    families = [each for each in sampler.list_largest(_MAX_FAMILIES) if each.name != NO_FAMILY]
    return (yield from _add_details(search, replace(page, families=families), rows))


def _split_numbers(raw: bytes) -> list[tuple[bytes, int]]:
    """Return what sorts ``product:9`` before ``product:10``."""
    parts = re.split(rb"([0-9]{1,18})", raw)
    return list(zip(parts[::2], [int(each) for each in (*parts[1::2], -1)], strict=True))


def _find_exact(search: Search) -> Plan[dict[str | bytes, Row]]:
    full_key = search.scope.make_full_key(search.text)
    if full_key is None:
        return {}
    kind = yield from call("TYPE", full_key, needs_server=True)
    if kind == b"none":
        return {}
    # The user has typed the key, so it is no secret to the user.
    shown = replace(search, shows_hidden=True)
    row = _make_text_row(shown, search.text, full_key)
    return {full_key: replace(row, is_exact=True)}


def _scan(search: Search, pattern: KeyPattern) -> Plan[tuple[SearchPage, set[bytes]]]:
    """Send SCANs until a page is full. The first batch has an INFO as well, which is not billed."""
    position, total, scans = search.position, None, 0
    found: set[bytes] = set()
    while scans < MAX_SCANS and len(found) < ROWS and (not scans or position.cursor != "0"):
        count = _choose_count(position, ROWS - len(found))
        commands: list[Command] = [
            ("SCAN", position.cursor, "MATCH", pattern.pattern, "COUNT", count)
        ]
        commands += [] if scans else [("INFO",)]
        replies = yield Batch(commands, needs_server=True)
        if isinstance(replies[0], ReplyError):
            raise replies[0]
        cursor, keys = _read_page(replies[0])
        if not scans:
            total = _read_total(replies[1])
        scans += 1
        matching = {key for key in keys if _matches(pattern, search.scope, key)}
        found |= matching
        position = Position(
            cursor,
            position.looked + count,
            position.found + len(matching),
            position.commands + 1,
        )
    is_complete = position.cursor == "0"
    if total is not None:
        looked = total if is_complete else min(position.looked, total)
        position = replace(position, looked=looked)
    return SearchPage(position=position, is_complete=is_complete, total=total), found


def _choose_count(position: Position, wanted: int) -> int:
    """Return a COUNT that finds about as many keys as are wanted, by what was found so far."""
    if not position.looked:
        return _FIRST_COUNT
    expected = wanted * position.looked // max(position.found, 1)
    return max(_FIRST_COUNT, min(expected, _MAX_COUNT))


def _read_page(reply: Any) -> tuple[str, list[bytes]]:
    return reply[0].decode("ascii"), reply[1]


def _read_total(reply: Reply) -> int | None:
    if not isinstance(reply, bytes):
        return None  # the token may not run INFO
    total: int = info.parse(reply.decode(errors="replace"))["keys"]
    return total


def _decode(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _matches(pattern: KeyPattern, scope: KeyScope, raw: bytes) -> bool:
    name = _decode(raw)
    return scope.is_raw or (isinstance(name, str) and pattern.matches(name))


def _make_row(search: Search, pattern: KeyPattern, name: str | bytes) -> Row | None:
    """Return the row of a key that was found; None: the list does not show it."""
    if isinstance(name, bytes):
        return Row(name.decode("utf-8", "backslashreplace"), is_binary=True)
    key = search.scope.extract_key(name, pattern)
    if key is None:
        return None
    row = _make_text_row(search, key, name)
    is_masked = row.protection is not None or row.is_hidden
    return None if is_masked and reaches_hidden_part(search.text, row.text) else row


def _make_text_row(search: Search, key: str, full_key: str) -> Row:
    protections = search.scope.protections
    protection = protections.find(full_key)
    if protection is not None:
        # In Django's form the key begins without KEY_PREFIX.
        return Row((protections.find(key) or protection).masked, protection=protection)
    if has_hidden_word(key) and not search.shows_hidden:
        return Row(mask_key(key), is_hidden=True)
    return Row(key, key if search.scope.has_page(key, full_key) else None)


def _add_details(
    search: Search, page: SearchPage, rows: dict[str | bytes, Row]
) -> Plan[SearchPage]:
    """Read the type, expiry and size of the first MAX_DETAILS keys in one round trip."""
    names = list(rows)[:MAX_DETAILS]
    if search.wants_details and names:
        names = [name for name in names if isinstance(name, str)]
        commands: list[Command] = []
        for name in names:
            commands += [("TYPE", name), ("PTTL", name), ("MEMORY", "USAGE", name)]
        replies: list[Any] = yield Batch(commands, needs_server=True)
        for name, kind, ttl, size in zip(
            names, replies[::3], replies[1::3], replies[2::3], strict=True
        ):
            rows[name] = replace(rows[name], details=_read_details(kind, ttl, size))
    return replace(page, rows=list(rows.values()))


def _read_details(kind: Reply, ttl: Reply, size: Reply) -> Details:
    ttl_ms = ttl if isinstance(ttl, int) else -2
    return Details(
        kind.decode(errors="replace") if isinstance(kind, bytes) else "",
        None if ttl_ms == -1 else ttl_ms,
        size if isinstance(size, int) else None,
    )
