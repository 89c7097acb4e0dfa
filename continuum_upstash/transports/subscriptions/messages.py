"""The messages of a subscription, as both transports deliver them, and their limits."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from continuum_upstash.errors import ConnectionFailed

# The largest request that Upstash accepts, so the largest message that it can deliver.
MAX_MESSAGE_BYTES: Final = 10 * 1024 * 1024


class Message(NamedTuple):
    """One message.

    Attributes:
        channel: the name of the channel that it was published to.
        data: the published bytes. Over REST, bytes that are not UTF-8 arrive changed, and a
            carriage return may arrive as a line feed.
    """

    channel: str
    data: bytes


class Decoder(Protocol):
    """Decodes what a subscription receives, without any I/O.

    Attributes:
        is_subscribed: whether the server has confirmed every channel.
        has_ended: whether the server will send nothing more.
    """

    is_subscribed: bool
    has_ended: bool

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that received bytes complete.

        Raises:
            ConnectionFailed: this is not what a server sends, or a message exceeds
                MAX_MESSAGE_BYTES.
            ReplyError: the server rejected the subscription.
        """
        ...


def validate_channels(channels: tuple[str, ...]) -> None:
    """Raise ValueError for a name that cannot be subscribed to over both transports."""
    if not channels:
        raise ValueError("Pass at least one channel.")
    for channel in channels:
        if channel in {"", ".", ".."} or "/" in channel or not channel.isprintable():
            raise ValueError(
                f"Invalid channel {channel[:80]!r}: a name is neither empty nor '.' nor '..', and "
                "contains neither '/' nor control characters."
            )


def message_too_large(label: str) -> ConnectionFailed:
    return ConnectionFailed(f"{label}: a message exceeds {MAX_MESSAGE_BYTES >> 20} MB.")


def subscription_ended(label: str) -> ConnectionFailed:
    return ConnectionFailed(f"{label}: the server ended the subscription. Subscribe again.")


def subscription_closed(label: str) -> ConnectionFailed:
    return ConnectionFailed(f"{label}: the subscription was closed by this process.")
