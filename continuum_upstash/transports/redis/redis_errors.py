"""The errors of a Redis connection: redis-py's translated to ours, and those of RESP."""

from __future__ import annotations

from typing import Final

import redis.exceptions

from continuum_upstash.errors import ConnectionFailed, ContinuumError, ReplyError
from continuum_upstash.transports.network_errors import connect_failed
from continuum_upstash.transports.service_errors import find_fatal_error, make_reply_error

# The first match decides. These are the server's replies to the handshake, without the error code,
# which redis-py removes; its other errors are about the connection.
_HANDSHAKE_CODES: Final = (
    (redis.exceptions.NoPermissionError, "NOPERM"),
    (redis.exceptions.AuthenticationError, "WRONGPASS"),
    (redis.exceptions.ResponseError, "ERR"),
)


def handshake_error(error: ReplyError, label: str) -> ContinuumError:
    """Return what to raise when the server rejected a command of the handshake."""
    return find_fatal_error(error, label) or type(error)(f"{error} ({label})")


def connect_error(error: Exception, label: str, seconds: float) -> ContinuumError:
    """Return what to raise when redis-py or a socket could not connect; nothing was sent.

    Args:
        error: redis-py's or the socket's.
        label: names the database.
        seconds: the timeout that applied.
    """
    for kind, code in _HANDSHAKE_CODES:
        if isinstance(error, kind):
            return handshake_error(make_reply_error(f"{code} {error}"), label)
    # redis-py raises its own error while it handles the socket's, which says more.
    cause = error if isinstance(error, OSError) else error.__context__
    if isinstance(cause, OSError):
        return connect_failed(label, cause, seconds)
    return ConnectionFailed(f"{label}: cannot connect: {error}", unsent=True)


def protocol_error(label: str) -> ConnectionFailed:
    return ConnectionFailed(
        f"{label}: protocol error: this is not what a Redis server replies to the commands sent. "
        "Check the URL's host and port."
    )


def stale_connection(label: str) -> ConnectionFailed:
    return ConnectionFailed(
        f"{label}: the idle connection was dropped by the server or the network."
    )
