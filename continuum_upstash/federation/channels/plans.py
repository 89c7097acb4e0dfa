"""What a channel sends to Redis."""

from __future__ import annotations

from typing import Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.federation.channels.events import (
    START,
    Event,
    EventId,
    decode_entries,
    encode_data,
    make_message,
)
from continuum_upstash.plans.effects import Batch, Plan, call, call_many
from continuum_upstash.protocol import Command

# Entries per request.
PAGE: Final = 1000


def publish(
    channel: str, event: str, data: object, max_length: int, expire_seconds: int | None
) -> Plan[str]:
    """Append an event, announce it, and return its id.

    The id is part of the message, so there are two round trips.

    `expire_seconds` is the new TTL of the stream; None: it is not set this time.
    """
    text = encode_data(data)
    reply = yield from call(
        *("XADD", channel, "MAXLEN", "=", max_length, "*"),
        *("data", text, "event", event, "channel", channel),
        needs_server=True,
    )
    event_id = EventId.parse(reply.decode() if isinstance(reply, bytes) else None)
    if event_id is None:
        raise ReplyError("XADD returned no id")
    commands: list[Command] = []
    if expire_seconds is not None:
        commands.append(("EXPIRE", channel, expire_seconds))
    commands.append(("PUBLISH", channel, make_message(event, text, channel, str(event_id))))
    yield from call_many(commands, needs_server=True)
    return str(event_id)


def read_history(channel: str, limit: int, since: EventId | int | None) -> Plan[list[Event]]:
    """Return up to `limit` events, the oldest first; those of `since`, or the newest ones.

    `since` is an id: the events after it; or milliseconds: the events from then on.
    """
    if since is None:
        command: Command = ("XREVRANGE", channel, "+", "-", "COUNT", limit)
    else:
        start = f"({since}" if isinstance(since, EventId) else since
        command = ("XRANGE", channel, start, "+", "COUNT", limit)
    reply = yield from call(*command, needs_server=True)
    events = [event for _, event in decode_entries(channel, reply) if event is not None]
    return events[::-1] if since is None else events


def make_page(channel: str, start: EventId | int, *, inclusive: bool) -> Batch:
    """Return the command for a page of the events from `start` on."""
    first = f"{start}" if inclusive else f"({start}"
    if start == START:
        first = "-"
    return Batch([("XRANGE", channel, first, "+", "COUNT", PAGE)], needs_server=True)


def make_newest(channel: str) -> Batch:
    """Return the command for the newest event."""
    return Batch([("XREVRANGE", channel, "+", "-", "COUNT", 1)], needs_server=True)
