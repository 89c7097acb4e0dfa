"""The error texts of Upstash, its gateways, Redis and its proxies, and what each means.

Both transports read this one table, so an error has the same class over REST and TCP. The texts of
Upstash are those of its documentation (redis/troubleshooting) or of users' reports; they continue
with figures and a link, so only their beginning is compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple

from continuum_upstash.errors import (
    AuthenticationFailed,
    CapacityExceeded,
    NotPermitted,
    QuotaExceeded,
    ReadOnlyReplica,
    ReplyError,
    RequestTooLarge,
    ServerNotReady,
)
from continuum_upstash.protocol import Command, Replies, Reply


class Meaning(Enum):
    """What an error says about the server, which decides how failover handles it."""

    OUTAGE = "The server runs no command for now; another attempt may succeed."
    REFUSAL = "The server refuses every command until a setting or a limit changes."
    FULL = "The server stores nothing more; reads and deletes work."
    READ_ONLY = "The server accepts neither writes nor deletes for now; reads work."
    COMMAND = "Only this command failed."


MEANINGS: Final[Mapping[type[ReplyError], Meaning]] = {
    ServerNotReady: Meaning.OUTAGE,
    AuthenticationFailed: Meaning.REFUSAL,
    QuotaExceeded: Meaning.REFUSAL,
    CapacityExceeded: Meaning.FULL,
    ReadOnlyReplica: Meaning.READ_ONLY,
    RequestTooLarge: Meaning.COMMAND,
    NotPermitted: Meaning.COMMAND,
    ReplyError: Meaning.COMMAND,
}

_FATAL: Final = frozenset({Meaning.OUTAGE, Meaning.REFUSAL})


class ServiceText(NamedTuple):
    """One row of the table.

    Attributes:
        examples: texts as the server returns them, or their beginnings.
        pattern: a regular expression for the beginning of all such texts.
        error: the class of the error.
        hint: what to do; it is appended to the text.
    """

    examples: tuple[str, ...]
    pattern: str
    error: type[ReplyError]
    hint: str = ""


COPY_CREDENTIALS: Final = (
    "Copy the token again from the console: over TCP it is the password, and the read-only token "
    "needs the user name default_ro."
)
_RAISE_LIMIT: Final = (
    "Every command fails until the period ends. Change the pricing plan or raise the budget."
)
_STORE_LESS: Final = "Store smaller values, or set COMPRESS_MIN_BYTES and MAX_VALUE_BYTES."
_FREE_SPACE: Final = (
    "Delete keys, choose a larger pricing plan, or enable eviction if it is only a cache."
)

# The first match applies. A pattern is compiled when the first error is classified.
SERVICE_TEXTS: Final[Sequence[ServiceText]] = (
    ServiceText(
        ("READONLY Write commands are not allowed from read-only scripts",),
        r"READONLY Write commands are not allowed from read-only",
        ReplyError,
    ),
    # A token or a password
    ServiceText(
        (
            "WRONGPASS invalid or missing auth token",
            "NOAUTH Authentication required",
            "ERR invalid password",
            "Unauthorized",
        ),
        r"(?:WRONGPASS|NOAUTH)\b|(?i:(?:ERR )?(?:unauthori[sz]ed|invalid token|"
        r"missing/invalid authorization))\b|"
        r"ERR (?:invalid password|operation not permitted|Client sent AUTH|"
        r".*AUTH.* called without)",
        AuthenticationFailed,
        COPY_CREDENTIALS,
    ),
    ServiceText(
        ("DENIED Redis is running in protected mode",),
        r"DENIED\b",
        AuthenticationFailed,
        "Set a password on the Redis server, and write it into the URL.",
    ),
    ServiceText(
        ("NOPERM this user has no permissions to run the 'set' command",),
        r"NOPERM\b",
        NotPermitted,
        "Use the standard token, not the read-only one, or extend the ACL user's permissions.",
    ),
    # Sizes and numbers of connections come before quotas, whose texts are not all published.
    ServiceText(
        (
            "ERR max request size exceeded",
            "ERR max single record size exceeded",
            "ERR max key size exceeded",
            "ERR max field size exceeded",
            "ERR max member size exceeded",
            "ERR Protocol error: invalid bulk length",
        ),
        r"ERR (?:max (?:request|(?:single )?(?:record|entry|value)|key|field|member) size\b|"
        r"Protocol error: invalid (?:multi)?bulk length|string exceeds maximum)",
        RequestTooLarge,
        _STORE_LESS,
    ),
    ServiceText(
        ("ERR max concurrent connections exceeded", "ERR max number of clients reached"),
        r"ERR max\b.*\b(?:connection|client)s?\b",
        ServerNotReady,
        "Lower POOL_SIZE, or run fewer processes.",
    ),
    ServiceText(
        (
            "ERR DB capacity quota exceeded",
            "OOM command not allowed when used memory > 'maxmemory'",
        ),
        r"ERR DB (?:capacity|size|storage)\b.*\bexceeded|OOM\b",
        CapacityExceeded,
        _FREE_SPACE,
    ),
    ServiceText(
        (
            "ERR max requests limit exceeded",
            "ERR max daily request limit exceeded",
            "ERR This database has been suspended for exceeding the defined budget limit",
            "ERR This database has reached current Fixed plan limits",
        ),
        r"(?i:ERR (?:max|daily|monthly|bandwidth|budget|quota|requests?|traffic|rate)\b.*"
        r"\b(?:exceeded|reached)\b)|ERR This database (?:has|is)\b",
        QuotaExceeded,
        _RAISE_LIMIT,
    ),
    # No writes for now
    ServiceText(
        (
            "READONLY Writes are temporarily rejected due to server upgrade",
            "READONLY You can't write against a read only replica",
        ),
        r"READONLY\b",
        ReadOnlyReplica,
        "Try again in a few seconds.",
    ),
    ServiceText(
        (
            "MISCONF Redis is configured to save RDB snapshots, but is unable to persist to disk",
            "NOREPLICAS Not enough good replicas to write",
        ),
        r"(?:MISCONF|NOREPLICAS)\b",
        ReadOnlyReplica,
        "Correct the Redis server: its disk, its replicas, or its settings for them.",
    ),
    # No commands for now
    ServiceText(
        (
            "LOADING Redis is loading the dataset in memory",
            "BUSY Redis is busy running a script",
            "MASTERDOWN Link with MASTER is down",
            "CLUSTERDOWN The cluster is down",
            "TRYAGAIN Multiple keys request during rehashing of slot",
        ),
        r"(?:LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)\b",
        ServerNotReady,
    ),
    ServiceText(
        ("MOVED 3999 10.0.0.1:6381",),
        r"(?:MOVED|ASK) \d",
        ServerNotReady,
        "This is a node of a Redis Cluster: use a database without cluster mode.",
    ),
    ServiceText(
        (
            "DB connection refused",
            "ERR DB connection timed-out or wrong username-password given",
        ),
        r"(?i:(?:ERR )?(?:DB |redis |upstream )?connection "
        r"(?:refused|reset|closed|lost|failed|error|timed[- ]?out|timeout))",
        ServerNotReady,
        "Check in the console that the database is active, and copy the token or password again.",
    ),
    ServiceText(
        ("no healthy upstream", "upstream connect error or disconnect/reset before headers"),
        r"(?i:(?:ERR )?(?:upstream (?:connect error|failure|protocol error|request timeout)|"
        r"no (?:healthy upstream|upstream host|route to host)|host is down|network is unreachable|"
        r"broken pipe|(?:dial|read|write) tcp|i/o timeout|context (?:deadline exceeded|canceled)|"
        r"request timed? ?out|server closed|unexpected EOF|bad gateway|gateway time-?out|"
        r"internal (?:server )?error|service (?:temporarily )?unavailable|caller gone))",
        ServerNotReady,
    ),
)

MASK: Final = "********"
_MIN_MASKED: Final = 6  # characters; words of ordinary errors may contain a shorter password

# What Upstash, Redis 7 and Redis 6 write before the error of a command that failed in a script.
_SCRIPT_PREFIX: Final = (
    r"ERR (?:Error running script.*?)?@?user_script: ?\d+: (?:@?user_script: ?\d+: )?-?"
)

_SCRIPT_COMMANDS: Final = frozenset(
    {"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"}
)


def make_reply_error(text: str, secrets: Sequence[str] = ()) -> ReplyError:
    """Return the error for a server's error text, with a hint what to do if there is one.

    Args:
        text: the text.
        secrets: the token or the password, which servers may repeat: Redis, for example, quotes the
            arguments of an unknown command.
    """
    for secret in secrets:
        if len(secret) >= _MIN_MASKED:
            text = text.replace(secret, MASK)
    row = _find_row(_remove_script_prefix(text))
    if row is None:
        return ReplyError(text)
    return row.error(f"{text.rstrip('.')}. {row.hint}" if row.hint else text)


def _remove_script_prefix(text: str) -> str:
    return re.sub(_SCRIPT_PREFIX, "", text, count=1) if "user_script" in text else text


def _find_row(beginning: str) -> ServiceText | None:
    return next((row for row in SERVICE_TEXTS if re.match(row.pattern, beginning, re.DOTALL)), None)


def correct_script_errors(replies: Replies, commands: Sequence[Command]) -> Replies:
    """Return the replies, with a plain ReplyError for each error text that a script may have made.

    A script may reply with an error such as ``ERR max attempts exceeded``, which says nothing about
    the server. Of the texts that begin with ``ERR``, its errors therefore have another class only
    if they begin with one of the examples.
    """
    for reply in replies:
        if isinstance(reply, ReplyError) and len(replies) == len(commands):
            pairs = zip(replies, commands, strict=True)
            return [_correct_script_error(each, command) for each, command in pairs]
    return replies


def _correct_script_error(reply: Reply, command: Command) -> Reply:
    is_script = str(command[0]).upper() in _SCRIPT_COMMANDS
    if not is_script or not isinstance(reply, ReplyError) or type(reply) is ReplyError:
        return reply
    beginning = _remove_script_prefix(str(reply))
    row = _find_row(beginning) if beginning.startswith("ERR ") else None
    if row is None or beginning.startswith(row.examples):
        return reply
    return ReplyError(str(reply).removesuffix(f". {row.hint}"))


def get_meaning(error: ReplyError) -> Meaning:
    """Return what an error says about the server."""
    return MEANINGS.get(type(error), Meaning.COMMAND)


def is_fatal(error: ReplyError) -> bool:
    """Return whether an error says that the server runs no command."""
    return get_meaning(error) in _FATAL


def find_batch_error(replies: Sequence[Reply], label: str) -> ReplyError | None:
    """Return the error to raise for a whole batch, or None.

    That is the first one if all replies are errors and the server runs no command at all.
    """
    errors = [reply for reply in replies if isinstance(reply, ReplyError)]
    return find_fatal_error(errors[0], label) if len(errors) == len(replies) else None


def find_fatal_error(error: ReplyError, label: str) -> ReplyError | None:
    """Return what to raise if `error` means that the server runs no command, else None."""
    return type(error)(f"{error} ({label})") if is_fatal(error) else None
