"""RESP2 without any I/O: encodes a batch, and decodes the replies as they arrive.

The sync and the async connection share all of this: what to send, and what the replies mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import hiredis

from continuum_upstash.errors import ReadOnlyReplica, ReplyError, Unavailable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Argument, Command, Replies, Script, ScriptHash
from continuum_upstash.transports.base import lone_surrogate_error
from continuum_upstash.transports.service_errors import (
    correct_script_errors,
    find_batch_error,
    find_fatal_error,
    make_reply_error,
)

PING: Final = b"*1\r\n$4\r\nPING\r\n"
INCOMPLETE: Final = object()

# hiredis accepts more than its annotations say.
_pack_command: Final[Callable[[tuple[object, ...]], bytes]] = cast("Any", hiredis.pack_command)

_PACKABLE: Final = frozenset({str, int, bytes})  # what hiredis accepts

_LENGTHS: Final = tuple([b"$%d\r\n" % length for length in range(256)])

_MULTI: Final = b"*1\r\n$5\r\nMULTI\r\n"
_EXEC: Final = b"*1\r\n$4\r\nEXEC\r\n"


def pack(batch: Batch, *, key_locking: bool) -> bytes:
    """Return the bytes of a batch; a transaction is enclosed in MULTI and EXEC.

    Args:
        batch: the commands.
        key_locking: whether the server supports Upstash's flag for scripts.

    Raises:
        NotSerializable: text that has no UTF-8 form.
        TypeError: an argument that is not text, a number or bytes.
    """
    try:
        try:
            packed = _pack_alike(batch.commands) or list(map(_pack_command, batch.commands))
        except TypeError:
            # Scripts, and subclasses of int (members of an IntEnum, for example).
            packed = [_pack_unusual(command, key_locking) for command in batch.commands]
    except UnicodeEncodeError:
        raise lone_surrogate_error() from None
    if batch.atomic:
        packed = [_MULTI, *packed, _EXEC]
    return b"".join(packed)


def _pack_alike(commands: Sequence[Command]) -> list[bytes]:
    """Return the parts of a pipeline whose commands differ in their key and value only.

    Those of set_many do, and hiredis takes twice as long, since it starts anew for each command.
    The result is empty if the commands are not alike.
    """
    first = commands[0]
    if len(commands) == 1 or len(first) < 3:
        return []
    name, options = first[0], first[3:]
    start = b"*%d\r\n%b" % (len(first), _pack_arguments((name,)))
    end = b"\r\n" + _pack_arguments(options)
    parts: list[bytes] = []
    lengths = _LENGTHS
    for command in commands:
        if command[0] != name or command[3:] != options or len(command) < 3:
            return []
        key, value = command[1], command[2]
        if type(key) is not str or type(value) is not bytes:
            return []
        text = key.encode()
        size = len(value)
        key_header = lengths[len(text)] if len(text) < 256 else b"$%d\r\n" % len(text)
        value_header = lengths[size] if size < 256 else b"$%d\r\n" % size
        parts += (start, key_header, text, b"\r\n", value_header, value, end)
    return parts


def _pack_arguments(arguments: tuple[Argument, ...]) -> bytes:
    """Return arguments as they are within a command."""
    return _pack_command(arguments).partition(b"\r\n")[2] if arguments else b""


def _pack_unusual(command: Command, key_locking: bool) -> bytes:
    return _pack_command(
        tuple(
            [
                each if type(each) in _PACKABLE else _to_packable(each, key_locking)
                for each in command
            ]
        )
    )


def _to_packable(argument: Argument, key_locking: bool) -> str | int | bytes:
    if isinstance(argument, (Script, ScriptHash)):
        return argument.source(key_locking=key_locking)
    return int(argument) if isinstance(argument, int) else argument


def count_replies(batch: Batch) -> int:
    """Return how many replies the server sends: MULTI and EXEC have one each."""
    return len(batch.commands) + 2 * batch.atomic


class ReplyReader:
    """Decodes replies that arrive in pieces.

    Args:
        secrets: masked in the texts of errors.

    Attributes:
        saw_readonly: a write was sent to a read-only replica; a new connection may be to the
            primary.
    """

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = secrets
        reader: Any = hiredis.Reader(replyError=self._make_error, notEnoughData=INCOMPLETE)
        self.feed = reader.feed
        self.next = reader.gets
        self.has_more = reader.has_data
        self.saw_readonly = False

    def _make_error(self, text: str) -> ReplyError:
        error = make_reply_error(text, self._secrets)
        self.saw_readonly |= isinstance(error, ReadOnlyReplica)
        return error


def check_replies(replies: list[Any], batch: Batch, label: str) -> Replies:
    """Return one reply per command, or raise the error that applies to the whole batch.

    Raises:
        Refused: the password or the quota, for every command alike.
        ServerNotReady: the server runs no command for now.
        ReplyError: the transaction was discarded; this is the error of the command that caused it.
    """
    if batch.atomic:
        return correct_script_errors(_unwrap_transaction(replies, label), batch.commands)
    if len(replies) > 1 or isinstance(replies[0], ReplyError):
        replies = correct_script_errors(replies, batch.commands)
    if isinstance(replies[0], ReplyError) and (error := find_batch_error(replies, label)):
        raise error
    return replies


def _unwrap_transaction(replies: list[Any], label: str) -> Replies:
    if isinstance(replies[-1], list):
        in_transaction: Replies = replies[-1]
        return in_transaction
    first_error = next((each for each in replies if isinstance(each, ReplyError)), None)
    if first_error is None:
        raise Unavailable(f"{label}: unexpected reply: EXEC returned no list.")
    raise find_fatal_error(first_error, label) or first_error
