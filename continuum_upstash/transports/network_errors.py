"""What failed between us and the database, in the words of our errors, for both colours."""

from __future__ import annotations

import os

from continuum_upstash.errors import ConnectionFailed, DeadlineExceeded


def cannot_connect(label: str, error: OSError, seconds: float) -> ConnectionFailed:
    """Name what kept a connection from being made; nothing has been sent then."""
    untrusted: str | None = getattr(error, "verify_message", None)
    if untrusted is not None:
        reason = (
            f"its certificate is not trusted: {untrusted}. "
            "Check the URL's host, or set CA_FILE to a private authority's certificate"
        )
    elif isinstance(error, TimeoutError):
        reason = f"no connection within CONNECT_TIMEOUT ({seconds:g} s)"
    else:
        reason = _reason(error)
    return ConnectionFailed(f"{label}: cannot connect: {reason}.", unsent=True)


def broken(label: str, error: OSError | None, *, unsent: bool = False) -> ConnectionFailed:
    """Name how a connection ended before the answer was complete."""
    how = "was closed" if error is None else f"broke ({_reason(error)})"
    return ConnectionFailed(f"{label}: the connection {how} before the reply.", unsent=unsent)


def too_late(label: str, seconds: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"{label}: no complete reply within READ_TIMEOUT ({seconds:g} s). "
        "Raise it if the database is far away or the values are large."
    )


def overdue(label: str, seconds: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"{label}: no reply within this batch's deadline ({seconds:g} s).", is_outage=False
    )


def all_busy(label: str, size: int, seconds: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"{label}: all {size} connections were busy for {seconds:g} s. Raise POOL_SIZE.",
        is_outage=False,
    )


def out_of_time(error: Exception) -> bool:
    """Return whether a time-out was what failed, be it of the answer or of a new connection."""
    return isinstance(error, DeadlineExceeded) or isinstance(error.__cause__, TimeoutError)


def _reason(error: OSError) -> str:
    """Return what the system or OpenSSL calls the error, without the addresses in its text."""
    if type(error).__module__ == "ssl":  # whose numbers are OpenSSL's; some platforms lack it
        return str(getattr(error, "reason", None) or error.strerror)
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or type(error).__name__
