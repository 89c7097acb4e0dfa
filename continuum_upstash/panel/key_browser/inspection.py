"""Reads one key within bounds: a value of 100 MB costs as little as a small one.

Two round trips, and one more for the elements of a collection or the tags of a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from continuum_upstash.errors import ReplyError
from continuum_upstash.panel.formatting import Text, to_local_datetime
from continuum_upstash.panel.key_browser import masking
from continuum_upstash.panel.key_browser.preview import MAX_BYTES, Preview, Previewer
from continuum_upstash.plans.effects import Batch, Plan, call_many
from continuum_upstash.plans.envelopes import fetch_tokens
from continuum_upstash.protocol import Command

MAX_ELEMENTS: Final = 20
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
        elements: the first ones of a collection; None: not read.
        note: why the elements were not read.
        tags: the tags of a value, and whether each still holds.
    """

    type: str
    ttl_ms: int | None
    length: int | None = None
    memory: int | None = None
    value: Preview | None = None
    elements: Sequence[Element] | None = None
    note: Text = ""
    tags: Mapping[str, bool] = field(default_factory=dict)

    @property
    def is_string(self) -> bool:
        return self.type == "string"


@dataclass(frozen=True, slots=True)
class _Collection:
    """How the elements of a type are read.

    Attributes:
        length: the command that counts them.
        read: the command that returns the first ones; the key is inserted behind its name.
        split: converts its reply to pairs of a label and a value.
    """

    length: str
    read: Command
    split: Callable[[Any], list[tuple[bytes, bytes]]]


def _split_pairs(items: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(items[::2], items[1::2], strict=False))


def _join_fields(entry: Sequence[Any]) -> tuple[bytes, bytes]:
    pairs = _split_pairs(entry[1] or ())
    return entry[0], b"\n".join(name + b": " + value for name, value in pairs)


_LAST: Final = MAX_ELEMENTS - 1
_COLLECTIONS: Final[Mapping[str, _Collection]] = MappingProxyType(
    {
        "hash": _Collection(
            "HLEN", ("HSCAN", "0", "COUNT", MAX_ELEMENTS), lambda reply: _split_pairs(reply[1])
        ),
        "list": _Collection(
            "LLEN",
            ("LRANGE", 0, _LAST),
            lambda reply: [(b"%d" % number, each) for number, each in enumerate(reply)],
        ),
        "set": _Collection(
            "SCARD",
            ("SSCAN", "0", "COUNT", MAX_ELEMENTS),
            lambda reply: [(b"", each) for each in reply[1]],
        ),
        "zset": _Collection(
            "ZCARD",
            ("ZRANGE", 0, _LAST, "WITHSCORES"),
            lambda reply: [(score, each) for each, score in _split_pairs(reply)],
        ),
        "stream": _Collection(
            "XLEN",
            ("XRANGE", "-", "+", "COUNT", MAX_ELEMENTS),
            lambda reply: [_join_fields(entry) for entry in reply],
        ),
    }
)


def inspect_key(
    full_key: str, previewer: Previewer | None, *, is_local: bool = False
) -> Plan[KeyDetails | None]:
    """Return what is known about a key; None: it does not exist.

    Billed: a string 4 commands, and 1 if its value has tags; a collection 5; without the value or
    the elements 3 and 4; a missing key 2.

    Args:
        full_key: the Redis key.
        previewer: None: read no value.
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
    elif details.type in _COLLECTIONS:
        collection = _COLLECTIONS[details.type]
        yield from _measure(details, full_key, collection)
        if previewer is not None:
            yield from _read_elements(details, full_key, collection, previewer, is_local=is_local)
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


def _measure(details: KeyDetails, full_key: str, collection: _Collection) -> Plan[None]:
    length, memory = yield Batch(
        ((collection.length, full_key), ("MEMORY", "USAGE", full_key)), needs_server=True
    )
    if isinstance(length, ReplyError):
        raise length
    details.length = length
    details.memory = memory if isinstance(memory, int) else None


def _read_elements(
    details: KeyDetails,
    full_key: str,
    collection: _Collection,
    previewer: Previewer,
    *,
    is_local: bool,
) -> Plan[None]:
    if not is_local and not _is_small(details):
        details.note = _("The elements are too large to be read here.")
        return
    name, *arguments = collection.read
    (reply,) = yield from call_many(((name, full_key, *arguments),), needs_server=True)
    details.elements = [
        Element(
            label.decode("utf-8", "backslashreplace")[:_MAX_ELEMENT_BYTES],
            previewer.preview(value[:_MAX_ELEMENT_BYTES], len(value)),
        )
        for label, value in collection.split(reply)[:MAX_ELEMENTS]
    ]


def _is_small(details: KeyDetails) -> bool:
    """Return whether MAX_ELEMENTS elements are small, as far as the server estimates it."""
    if details.memory is None or not details.length:
        return False
    fetched = min(details.length, MAX_ELEMENTS)
    return details.memory // details.length * fetched <= _MAX_FETCH_BYTES


def describe_value(details: KeyDetails | None, *, has_hidden_word: bool) -> dict[str, Any]:
    """Return the context of the value: why it is hidden by default, and its envelope."""
    if details is None:
        return {}
    reasons: list[Text] = []
    if has_hidden_word:
        reasons.append(_("The key contains a word such as TOKEN or PASSWORD."))
    previews = [each.value for each in details.elements or ()]
    previews += [details.value] if details.value else []
    reasons += [each.reason for each in previews if each.reason]
    labels = " ".join(each.label for each in details.elements or ())
    if masking.has_hidden_word(labels):
        reasons.append(_("The value contains a word such as TOKEN or PASSWORD."))
    context: dict[str, Any] = {"reason": reasons[0] if reasons else ""}
    envelope = details.value.envelope if details.value else None
    if envelope is not None:
        context["compute_seconds"] = envelope.compute_ms / 1000
        if envelope.fresh_until_ms:
            context["fresh_until"] = to_local_datetime(envelope.fresh_until_ms / 1000)
    return context
