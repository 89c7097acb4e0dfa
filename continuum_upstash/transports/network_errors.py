"""The errors of a connection to the server: why it failed, and what to change."""

from __future__ import annotations

import os
from typing import Final

from continuum_upstash.errors import ConnectionFailed, DeadlineExceeded, PoolExhausted

# OpenSSL's reasons for bytes that are not TLS, by version.
_NOT_TLS: Final = frozenset(
    {"HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "WRONG_VERSION_NUMBER"}
)


def connect_failed(label: str, error: OSError, seconds: float) -> ConnectionFailed:
    """Return the error for a connection that could not be opened; nothing was sent.

    Args:
        label: names the database.
        error: what the socket or OpenSSL raised.
        seconds: the timeout that applied.
    """
    untrusted: str | None = getattr(error, "verify_message", None)
    if untrusted is not None:
        reason = (
            f"its certificate is not trusted: {untrusted.rstrip('.')}. "
            "Check the URL's host, or set CA_FILE to a private authority's certificate"
        )
    elif isinstance(error, TimeoutError):
        reason = f"no connection within CONNECT_TIMEOUT ({seconds:.4g} s)"
    elif getattr(error, "reason", None) in _NOT_TLS:
        reason = (
            f"the server does not use TLS on this port ({_describe(error)}). Check the URL's port. "
            "In a private network, such as Fly's, write redis:// or http://"
        )
    else:
        reason = _describe(error)
    return ConnectionFailed(f"{label}: cannot connect: {reason}.", unsent=True)


def connection_lost(label: str, error: OSError | None, *, unsent: bool = False) -> ConnectionFailed:
    """Return the error for a connection that ended before the reply was complete."""
    how = "was closed" if error is None else f"broke ({_describe(error)})"
    return ConnectionFailed(f"{label}: the connection {how} before the reply.", unsent=unsent)


def read_timed_out(label: str, seconds: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"{label}: no complete reply within READ_TIMEOUT ({seconds:g} s). "
        "Raise it if the database is far away or the values are large."
    )


def deadline_exceeded(label: str, seconds: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"{label}: no reply within this batch's deadline ({seconds:g} s).", is_outage=False
    )


def pool_exhausted(label: str, size: int, seconds: float) -> PoolExhausted:
    return PoolExhausted(
        f"{label}: connection pool exhausted: all {size} connections were busy for {seconds:g} s. "
        "Raise POOL_SIZE, or run fewer threads or greenlets per process."
    )


def is_timeout(error: Exception) -> bool:
    """Return whether the cause is a timeout, of the reply or of a new connection."""
    return isinstance(error, DeadlineExceeded) or isinstance(error.__cause__, TimeoutError)


def _describe(error: OSError) -> str:
    """Return the text of the system or OpenSSL, without the addresses in the error's own text."""
    if type(error).__module__ == "ssl":  # its error numbers are OpenSSL's; some platforms lack it
        return str(getattr(error, "reason", None) or error.strerror)
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__
