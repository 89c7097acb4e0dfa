"""The error classes. A message says what happened and what to do; no message contains a secret.

ContinuumError
├── ConfigurationError       a setting is invalid
├── Unavailable              the server did not reply
│   ├── ConnectionFailed
│   │   └── ServerNotReady   also a ReplyError: the server replied that it runs no command for now
│   ├── DeadlineExceeded
│   ├── PoolExhausted        all connections were busy: the server may be well
│   └── BudgetExceeded       the month's budget is used up: the command was not sent
├── ReplyError               the server replied with an error: WRONGTYPE, a script error, …
│   └── Refused              the server rejects this command, or all, until something changes
│       ├── AuthenticationFailed, NotPermitted, QuotaExceeded, CapacityExceeded,
│       └── RequestTooLarge, ReadOnlyReplica
├── LockNotAcquired, LockLost
├── NotSerializable          a value has no stored format
└── SessionStoreUnavailable  a session could not be read or written

Refused is a ReplyError because the server can reject one command of a batch, for example a write
with a read-only token.
"""

from __future__ import annotations

from collections.abc import Iterable


class ContinuumError(Exception):
    """The base class of all errors of this package; not raised itself.

    Messages contain texts of servers: what would control a terminal or forge a log line is escaped.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(escape_unprintable(message))


class ConfigurationError(ContinuumError):
    """A setting, argument or environment variable is invalid; its message says how to fix it."""


class NotSerializable(ContinuumError, TypeError):
    """The configured serializer cannot encode the value."""


class SessionStoreUnavailable(ContinuumError):
    """The session store did not reply. This does not mean that the session does not exist."""


class LockNotAcquired(ContinuumError):
    """The lock was not acquired in time."""


class LockLost(ContinuumError):
    """The lock is not held: its lease expired before it was released or extended."""


class Unavailable(ContinuumError):
    """The server did not reply.

    Attributes:
        retry_after: the seconds of a Retry-After header, or None.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ConnectionFailed(Unavailable):
    """A connection could not be opened, or it was lost.

    Attributes:
        unsent: no byte of the batch reached the server, so every command can be sent again.
    """

    def __init__(self, message: str, *, unsent: bool = False) -> None:
        super().__init__(message)
        self.unsent = unsent


class DeadlineExceeded(Unavailable):
    """The reply was not complete before the timeout.

    Attributes:
        is_outage: False if the time-out is no sign of an outage: the batch had a shorter deadline
            of its own.
    """

    def __init__(self, message: str, *, is_outage: bool = True) -> None:
        super().__init__(message)
        self.is_outage = is_outage


class PoolExhausted(Unavailable):
    """All connections of the pool were busy until the deadline; nothing was sent.

    The server replies to the callers that have a connection, so this is no outage: the circuit
    breaker does not count it, and the local fallback does not serve the call.
    """


class BudgetExceeded(Unavailable):
    """The month's budget (OPTIONS["BUDGET"]) is used up, and the command was not sent."""


class ReplyError(ContinuumError):
    """The server replied with an error.

    Attributes:
        code: the first word of the error: ``WRONGTYPE``, ``NOSCRIPT``, ``ERR`` …
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message.split(" ", 1)[0]


class ServerNotReady(ConnectionFailed, ReplyError):
    """The server replied that it runs no command for now: it is loading, busy, or has no database.

    It is also a ReplyError because a gateway can return it for one command of a batch.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, unsent=True)


class Refused(ReplyError):
    """The server rejects this command, or all, until something outside the code changes.

    Attributes:
        retry_after: the seconds of a Retry-After header, or None.
    """

    retry_after: float | None = None


class AuthenticationFailed(Refused):
    """The token or password is missing, invalid or revoked."""


class NotPermitted(Refused):
    """The token (a read-only one, say) or the ACL user has no permission for this command."""


class QuotaExceeded(Refused):
    """The quota of commands is used up: every command fails until the period ends."""


class CapacityExceeded(Refused):
    """The database is full and does not evict: writes fail, reads and deletes do not."""


class RequestTooLarge(Refused):
    """The arguments or the reply of a command exceed the pricing plan's request size."""


class ReadOnlyReplica(Refused):
    """Writes fail for some seconds, for example during a server upgrade."""


def escape_unprintable(text: str) -> str:
    """Return text in which control characters and marks of direction are escaped as by `repr`."""
    if text.isprintable():
        return text
    return "".join([each if each.isprintable() else repr(each)[1:-1] for each in text])


def suggest_similar(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean …?", to append to the message about an unknown name, or ""."""
    from difflib import get_close_matches  # noqa: PLC0415 only needed for the error message

    close = get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]}?" if close else ""
