"""Reads one key within bounds: a value of 100 MB costs as little as a small one.

Two round trips, and one more for the elements of a collection or the tags of a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.utils.translation import gettext_lazy as _

from continuum_upstash.errors import ReplyError
from continuum_upstash.panel.formatting import Text
from continuum_upstash.panel.key_browser.position import START, Position
from continuum_upstash.panel.key_browser.values.elements import (
    LENGTH_COMMANDS,
    PAGE,
    fetch_elements,
)
from continuum_upstash.panel.key_browser.values.preview import MAX_BYTES, Preview, Previewer
from continuum_upstash.plans.effects import Batch, Plan, call_many
from continuum_upstash.plans.envelopes import fetch_tokens
from continuum_upstash.protocol import Command

_MAX_ELEMENT_BYTES: Final = 1024  # that are shown
# The largest reply with elements that is requested: by the size of the whole collection, or that of
# its average element.
_MAX_FETCH_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a collection.

    Attributes:
        label: a field, a score, an ID or a number; empty for the members of a set.
        value: its preview.
    """

    label: str
    value: Preview


@dataclass(slots=True)
class KeyDetails:
    """What is known about a key.

    Attributes:
        type: as TYPE returns it.
        ttl_ms: None: no expiry.
        length: bytes of a string, elements of a collection; None: unknown.
        memory: bytes that the server needs for a collection; None: unknown.
        value: of a string; None: not read.
        elements: a page of a collection; None: not read.
        following: where its next page begins; None: there is none.
        note: why the elements were not read.
        tags: the tags of a value, and whether each still holds.
    """

    type: str
    ttl_ms: int | None
    length: int | None = None
    memory: int | None = None
    value: Preview | None = None
    elements: Sequence[Element] | None = None
    following: Position | None = None
    note: Text = ""
    tags: Mapping[str, bool] = field(default_factory=dict)

    @property
    def is_string(self) -> bool:
        return self.type == "string"


def inspect_key(
    full_key: str,
    previewer: Previewer | None,
    start: Position = START,
    *,
    is_local: bool = False,
) -> Plan[KeyDetails | None]:
    """Return what is known about a key; None: it does not exist.

    Billed: a string 4 commands, and 1 if its value has tags; a collection 5; without the value or
    the elements 3 and 4; a missing key 2.

    Args:
        full_key: the Redis key.
        previewer: None: read no value.
        start: where the elements begin, from `KeyDetails.following`.
        is_local: whether the store is in this process: then nothing is too large to fetch.

    Raises:
        Unavailable: the database does not reply.
        ReplyError: it refuses a command, or the type has changed meanwhile.
    """
    kind, ttl = yield from call_many((("TYPE", full_key), ("PTTL", full_key)), needs_server=True)
    if kind == b"none" or ttl == -2:
        return None
    details = KeyDetails(kind.decode(errors="replace"), None if ttl == -1 else ttl)
    if details.is_string:
        yield from _read_string(details, full_key, previewer)
    elif details.type in LENGTH_COMMANDS:
        yield from _measure(details, full_key)
        if previewer is not None and (is_local or _is_small(details)):
            yield from _read_elements(details, full_key, previewer, start)
        elif previewer is not None:
            details.note = _("The elements are too large to be read here.")
    return details


def _read_string(details: KeyDetails, full_key: str, previewer: Previewer | None) -> Plan[None]:
    commands: list[Command] = [("STRLEN", full_key)]
    if previewer is not None:
        commands.append(("GETRANGE", full_key, 0, MAX_BYTES - 1))
    replies = yield from call_many(commands, needs_server=True)
    details.length = replies[0]
    if previewer is not None:
        data: bytes = replies[1]
        details.value = previewer.preview(data, max(replies[0], len(data)))
        envelope = details.value.envelope
        if envelope is not None and envelope.tokens:
            current = yield from fetch_tokens(envelope.tokens)
            details.tags = {
                tag.removeprefix(previewer.tag_prefix): current.get(tag) == token
                for tag, token in envelope.tokens.items()
            }


def _measure(details: KeyDetails, full_key: str) -> Plan[None]:
    commands = ((LENGTH_COMMANDS[details.type], full_key), ("MEMORY", "USAGE", full_key))
    length, memory = yield Batch(commands, needs_server=True)
    if isinstance(length, ReplyError):
        raise length
    details.length = length
    details.memory = memory if isinstance(memory, int) else None


def _read_elements(
    details: KeyDetails, full_key: str, previewer: Previewer, start: Position
) -> Plan[None]:
    page = yield from fetch_elements(details.type, full_key, start)
    details.following = page.following
    details.elements = [
        Element(
            label.decode("utf-8", "backslashreplace")[:_MAX_ELEMENT_BYTES],
            previewer.preview(value[:_MAX_ELEMENT_BYTES], len(value)),
        )
        for label, value in page.pairs
    ]


def _is_small(details: KeyDetails) -> bool:
    """Return whether a page of elements is small, as far as the server estimates it."""
    if details.memory is None or not details.length:
        return False
    fetched = min(details.length, PAGE)
    return details.memory // details.length * fetched <= _MAX_FETCH_BYTES
