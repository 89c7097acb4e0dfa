"""The one hierarchy of errors. A message says what happened and what to do; none holds a secret.

ContinuumError
├── ConfigurationError       the settings are wrong
├── Unavailable              the database could not be asked
│   └── ConnectionFailed, DeadlineExceeded
├── ReplyError               it was asked and answered with an error: WRONGTYPE, a script's, …
│   └── Refused              it will not serve this, or anything, until something changes
│       ├── AuthenticationFailed, NotPermitted, QuotaExceeded, CapacityExceeded,
│       └── RequestTooLarge, ReadOnlyReplica
├── LockNotAcquired, LockLost
├── NotSerializable          a value has no stored form
└── SessionStoreUnavailable  a session could be neither read nor written

A refusal comes in a reply's place, too (a write among reads with a read-only token), hence
Refused is a ReplyError.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


class ContinuumError(Exception):
    """Base of every error of this package; never raised itself."""


class ConfigurationError(ContinuumError):
    """A setting, argument or environment variable is wrong; the message names it and the fix."""


class NotSerializable(ContinuumError, TypeError):
    """The value has no stored form under the configured serializer."""


class SessionStoreUnavailable(ContinuumError):
    """The session store could not be asked: not the same as "no such session"."""


class LockNotAcquired(ContinuumError):
    """The lock was not free in time."""


class LockLost(ContinuumError):
    """The lock is not held: its lease ended before it was released or extended."""


class Unavailable(ContinuumError):
    """The database did not answer.

    Attributes:
        retry_after: seconds that something in its place asked us to stay away, or None.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ConnectionFailed(Unavailable):
    """No connection could be made, or it broke.

    Attributes:
        unsent: True when no byte of the batch can have reached the server, so that
            sending it again is safe whatever it holds.
    """

    def __init__(self, message: str, *, unsent: bool = False) -> None:
        super().__init__(message)
        self.unsent = unsent


class DeadlineExceeded(Unavailable):
    """The batch's time was up before the whole reply had arrived.

    Attributes:
        is_outage: False if the time-out is no sign of an outage: no connection of the pool became
            free, or the batch had a shorter deadline of its own.
    """

    def __init__(self, message: str, *, is_outage: bool = True) -> None:
        super().__init__(message)
        self.is_outage = is_outage


class ReplyError(ContinuumError):
    """The server ran the command and answered with an error.

    Attributes:
        code: the error's first word, such as ``WRONGTYPE``, ``NOSCRIPT`` or ``ERR``.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message.split(" ", 1)[0]


class Refused(ReplyError):
    """The server will not serve this request, or any, until something outside the code changes."""


class AuthenticationFailed(Refused):
    """The token or password is missing, wrong or revoked."""


class NotPermitted(Refused):
    """The token may not run this command: a read-only token, or an ACL user."""


class QuotaExceeded(Refused):
    """The plan's commands for the period are used up: every command fails until it ends."""


class CapacityExceeded(Refused):
    """The database is full and does not evict: reads and deletes go on, writes do not."""


class RequestTooLarge(Refused):
    """A command's arguments or its reply exceed the plan's request size."""


class ReadOnlyReplica(Refused):
    """Writes are rejected for some seconds, as during a server upgrade."""


# First match decides. The texts are those of the service and of Redis (Upstash docs,
# redis/troubleshooting; redis.io error replies); each hint is appended once.
_KINDS: tuple[tuple[re.Pattern[str], type[Refused], str], ...] = (
    (
        re.compile(
            r"WRONGPASS|NOAUTH|Unauthorized|ERR (?:invalid password|.*AUTH.* called without)"
        ),
        AuthenticationFailed,
        "Copy the token (REST) or the password (TCP) again from the console: they differ.",
    ),
    (
        re.compile(r"NOPERM"),
        NotPermitted,
        "Use the standard token, not the read-only one, or widen the ACL user's rights.",
    ),
    (
        re.compile(r"ERR max (?:daily )?requests? limit exceeded"),
        QuotaExceeded,
        "Every command fails until the period ends; change the plan or raise the budget.",
    ),
    (
        re.compile(r"ERR DB capacity quota exceeded|OOM "),
        CapacityExceeded,
        "Delete keys, choose a larger plan, or switch eviction on for a pure cache.",
    ),
    (
        re.compile(r"ERR max (?:request|single record|key) size exceeded"),
        RequestTooLarge,
        "Store smaller values, or set COMPRESS_MIN_BYTES and MAX_VALUE_BYTES.",
    ),
    (re.compile(r"READONLY "), ReadOnlyReplica, "Try again in some seconds."),
)


def from_reply(text: str) -> ReplyError:
    """Return the error that a server's error text stands for, with a hint where there is one."""
    for pattern, kind, hint in _KINDS:
        if pattern.match(text):
            return kind(f"{text.rstrip('.')}. {hint}")
    return ReplyError(text)


def suggest_similar(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean …?" for a misspelt name, to end a message with; or nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 needed after a mistake only

    close = get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]}?" if close else ""
