"""RESP2, both ways: a batch as the bytes of one write, and replies out of what was read.

No I/O and no clock here. The sync and the async connection share every decision of this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import hiredis

from continuum_upstash.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ContinuumError,
    NotSerializable,
    QuotaExceeded,
    ReadOnlyReplica,
    ReplyError,
    from_reply,
)
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Argument, Command, Replies, Script, ScriptHash

PING: Final = b"*1\r\n$4\r\nPING\r\n"
INCOMPLETE: Final = object()

# hiredis' own annotations are narrower than what it takes.
_pack_command: Final[Callable[[tuple[object, ...]], bytes]] = cast("Any", hiredis.pack_command)

_PACKED: Final = frozenset({str, int, bytes})  # what it takes as it is

_MULTI: Final = b"*1\r\n$5\r\nMULTI\r\n"
_EXEC: Final = b"*1\r\n$4\r\nEXEC\r\n"

# The server refuses to work at all for now: it ran nothing, and another time or place may serve.
_NOT_SERVING: Final = ("LOADING ", "MASTERDOWN ", "CLUSTERDOWN ", "ERR max number of clients")


def pack(batch: Batch, *, key_locking: bool) -> bytes:
    """Return the bytes of a batch; a transaction has MULTI and EXEC around it.

    Args:
        batch: the commands.
        key_locking: whether the server wants Upstash's flag in front of scripts.

    Raises:
        NotSerializable: text that has no UTF-8 form.
        TypeError: an argument that is neither text, a number nor bytes.
    """
    try:
        if len(batch.commands) == 1 and not batch.atomic:
            return _pack(batch.commands[0], key_locking)
        packed = [_pack(command, key_locking) for command in batch.commands]
    except UnicodeEncodeError:
        raise NotSerializable(
            "A key or an option holds a lone surrogate (U+D800 to U+DFFF), which has no UTF-8 "
            "form. Clean the text that the key is made from."
        ) from None
    if batch.atomic:
        packed = [_MULTI, *packed, _EXEC]
    return b"".join(packed)


def _pack(command: Command, key_locking: bool) -> bytes:
    try:
        return _pack_command(command)
    except TypeError:
        # Scripts, and ints that are not exactly int, such as the members of an IntEnum.
        return _pack_command(
            tuple(
                [each if type(each) in _PACKED else _plain(each, key_locking) for each in command]
            )
        )


def _plain(argument: Argument, key_locking: bool) -> str | int | bytes:
    if isinstance(argument, (Script, ScriptHash)):
        return argument.source(key_locking=key_locking)
    return int(argument) if isinstance(argument, int) else argument


def never() -> bool:
    return False


def reply_count(batch: Batch) -> int:
    """Return how many replies the server sends: MULTI and EXEC have one each."""
    return len(batch.commands) + 2 * batch.atomic


class Replying:
    """Replies as they arrive in pieces.

    Attributes:
        outdated: a write met a read-only replica; a new connection may find the primary.
    """

    def __init__(self) -> None:
        reader: Any = hiredis.Reader(replyError=self._error, notEnoughData=INCOMPLETE)
        self.feed = reader.feed
        self.next = reader.gets
        self.has_more = reader.has_data
        self.outdated = False

    def _error(self, text: str) -> ReplyError:
        error = from_reply(text)
        self.outdated |= isinstance(error, ReadOnlyReplica)
        return error


def settle(replies: list[Any], batch: Batch, label: str) -> Replies:
    """Return one reply per command; raise what turned the whole batch away.

    Raises:
        Refused: the password or the plan's quota, for every command alike.
        ConnectionFailed: the server is starting or full; nothing ran.
        ReplyError: the transaction was discarded; the error is the command's that spoiled it.
    """
    if batch.atomic:
        return _unwrap(replies, label)
    if isinstance(replies[0], ReplyError) and all(isinstance(each, ReplyError) for each in replies):
        error = refusal(replies[0], label)
        if error is not None:
            raise error
    return replies


def _unwrap(replies: list[Any], label: str) -> Replies:
    if isinstance(replies[-1], list):
        return replies[-1]
    spoiler = next(each for each in replies if isinstance(each, ReplyError))
    raise refusal(spoiler, label) or spoiler


def refusal(error: ReplyError, label: str) -> ContinuumError | None:
    """Return what to raise if `error` means that the server serves nothing, or None."""
    text = str(error)
    if isinstance(error, AuthenticationFailed | QuotaExceeded):
        return type(error)(f"{text} ({label})")
    if text.startswith(_NOT_SERVING):
        return ConnectionFailed(f"{label}: the server does not serve yet: {text}", unsent=True)
    return None
