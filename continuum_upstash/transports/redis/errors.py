"""How redis-py's errors become ours, and what goes wrong on a Redis connection alone."""

from __future__ import annotations

from typing import Final

import redis.exceptions

from continuum_upstash.errors import ConnectionFailed, ContinuumError, ReplyError, from_reply
from continuum_upstash.transports.network_errors import cannot_connect
from continuum_upstash.transports.redis.resp2 import refusal

# First match decides. These are the server's answers to the handshake, and redis-py has cut
# their codes off; whatever else it raises is about the connection.
_ANSWERS: Final = (
    (redis.exceptions.NoPermissionError, "NOPERM"),
    (redis.exceptions.AuthenticationError, "WRONGPASS"),
    (redis.exceptions.ResponseError, "ERR"),
)


def handshake_refused(error: ReplyError, label: str) -> ContinuumError:
    return refusal(error, label) or type(error)(f"{error} ({label})")


def not_connected(error: Exception, label: str, seconds: float) -> ContinuumError:
    """Return what to raise when redis-py or a socket could not connect; nothing was sent."""
    for kind, code in _ANSWERS:
        if isinstance(error, kind):
            return handshake_refused(from_reply(f"{code} {error}"), label)
    # redis-py raises its own error while it handles the socket's, which says more.
    cause = error if isinstance(error, OSError) else error.__context__
    if isinstance(cause, OSError):
        return cannot_connect(label, cause, seconds)
    return ConnectionFailed(f"{label}: cannot connect: {error}", unsent=True)


def garbled(label: str) -> ConnectionFailed:
    return ConnectionFailed(
        f"{label}: what came back is not an answer of a Redis server to what was asked. "
        "Check the URL's host and port."
    )


def silent(label: str) -> ConnectionFailed:
    return ConnectionFailed(f"{label}: the connection had gone dead without a word.")
