"""The events of a channel: their names, their stored fields, and the messages that announce them.

The format is that of the npm package @upstash/realtime 1.1: JavaScript and Python read each other's
events. Unlike it, `data` is always stored as JSON text, also a string: a reader that parses the
field as JSON then finds the same string again, and not the number 123 for "123".
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from continuum_upstash.errors import NotSerializable
from continuum_upstash.keys import RESERVED_KEYS
from continuum_upstash.protocol import Reply

MAX_NAME: Final = 200  # characters
# @upstash/redis drops a line of a subscription that is longer than 1 MB.
MAX_DATA_BYTES: Final = 900_000

# A glob pattern; a path separator; what separates the parts of a server-sent message.
_FORBIDDEN: Final = frozenset('*?[]^\\/,"')
_parse_id: Final = re.compile(r"(\d{1,20})(?:-(\d{1,20}))?", re.ASCII).fullmatch


class EventId(NamedTuple):
    """The position of an event in its channel: ids compare as two integers, not as text.

    Attributes:
        milliseconds: Unix time of the database.
        number: counts the events of one millisecond.
    """

    milliseconds: int
    number: int

    @classmethod
    def parse(cls, text: object) -> Self | None:
        """Return the id for ``1526919030474-55``; None for anything else."""
        match = _parse_id(text) if isinstance(text, str) else None
        if match is None or match[2] is None:
            return None
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.number}"


START: Final = EventId(0, 0)


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        id: its position, for example ``1526919030474-0``.
        event: its name, for example ``message.created``.
        data: a JSON value.
        channel: the name of its channel.
    """

    id: str
    event: str
    data: Any
    channel: str


def validate_name(name: object, what: str) -> str:
    """Return the name of a channel or an event.

    Raises:
        ValueError: it is empty, longer than 200 characters, a number or another JSON value (which
            JavaScript readers would not read as text), begins like a key of this package, or
            contains a character of glob patterns, "/", ",", a quote or a control character.
    """
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        problem = f"it must be text of 1 to {MAX_NAME} characters"
    elif not name.isprintable() or name != name.strip() or not _FORBIDDEN.isdisjoint(name):
        problem = 'it contains a control character, outer spaces or one of *?[]^\\/,"'
    elif name in {".", ".."} or _is_json(name):
        problem = "it is a dot or a JSON value such as 42, true or null"
    elif name.startswith(RESERVED_KEYS):
        problem = "this beginning is reserved for sessions, rate limits or statistics"
    else:
        return name
    raise ValueError(f"Invalid name of {what}: {str(name)[:80]!r}: {problem}.")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    except RecursionError:
        return True
    return True


def parse_since(since: str | int | EventId | None) -> EventId | int | None:
    """Return a position: an id, or milliseconds since 1970.

    Raises:
        ValueError: it is neither.
    """
    if since is None or isinstance(since, EventId):
        return since
    match = _parse_id(str(since))
    if match is None:
        raise ValueError(
            f"Invalid position {str(since)[:80]!r}: pass the id of an event, such as "
            "'1526919030474-0', or milliseconds since 1970."
        )
    return int(match[1]) if match[2] is None else EventId(int(match[1]), int(match[2]))


def encode_data(data: Any) -> str:
    """Return data as JSON text.

    Raises:
        NotSerializable: it is no JSON value, or its text exceeds MAX_DATA_BYTES.
    """
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise NotSerializable(f"The data of an event must be a JSON value: {error}") from error
    if size > MAX_DATA_BYTES:
        raise NotSerializable(
            f"The data of an event has {size:,} bytes as JSON; the limit is {MAX_DATA_BYTES:,}. "
            "Publish a reference to it, such as a cache key."
        )
    return text


def make_message(event: str, data: str, channel: str, event_id: str) -> str:
    """Return the message that announces an event; `data` is JSON text."""
    name, room, number = (
        json.dumps(text, ensure_ascii=False) for text in (event, channel, event_id)
    )
    return f'{{"data":{data},"event":{name},"channel":{room},"id":{number}}}'


def decode_message(channel: str, message: bytes) -> Event | None:
    """Return the event that a message announces; None for a ping and for anything else."""
    if len(message) > MAX_DATA_BYTES * 2:
        return None
    try:
        document = json.loads(message)
    except (ValueError, RecursionError):
        return None
    match document:
        case {"id": str(event_id), "event": str(name), "channel": str(room)} if room == channel:
            if EventId.parse(event_id) is None:
                return None
            return Event(event_id, name, document.get("data"), channel)
    return None


def decode_entries(channel: str, reply: Reply) -> list[tuple[EventId, Event | None]]:
    """Return the ids and the events in a reply to XRANGE; None for an entry of another kind."""
    entries: list[tuple[EventId, Event | None]] = []
    for entry in reply if isinstance(reply, list) else ():
        match entry:
            case [bytes(raw_id), list(fields)]:
                event_id = EventId.parse(raw_id.decode("latin-1"))
                if event_id is not None:
                    entries.append((event_id, _decode_fields(channel, event_id, fields)))
    return entries


def _decode_fields(channel: str, event_id: EventId, fields: Sequence[Reply]) -> Event | None:
    try:
        texts = [field.decode() for field in fields if isinstance(field, bytes)]
        values = dict(zip(texts[::2], texts[1::2], strict=True))
        name, data = values["event"], values["data"]
    except (KeyError, ValueError):
        return None
    if len(data) > MAX_DATA_BYTES * 2:
        return None
    try:
        # JavaScript stores text as it is, and everything else as JSON.
        decoded = json.loads(data)
    except (ValueError, RecursionError):
        decoded = data
    return Event(str(event_id), name, decoded, channel)
