"""What metrics, traces and counters call a command, and how they classify its reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.keys import LEASE_KEYS, TAG_KEYS
from continuum_upstash.plans.command_table import COMMANDS, UNKNOWN, ReplyKind
from continuum_upstash.protocol import Argument, Command, Reply

LOCAL: Final = "local"  # the backend whose commands are not billed and no calls of a database
PIPELINE: Final = "PIPELINE"
_NO_VALUES: Final = (TAG_KEYS, LEASE_KEYS)


def get_operation(commands: Sequence[Command]) -> str:
    """Return the name of a batch: ``GET`` for one command, ``PIPELINE GET`` or ``PIPELINE``."""
    names = {str(command[0]).upper() for command in commands}
    if len(commands) == 1:
        return names.pop()
    return f"{PIPELINE} {names.pop()}" if len(names) == 1 else PIPELINE


def is_failure(reply: Reply) -> bool:
    """Return whether a reply is an error.

    NOSCRIPT does not count: the script is then sent in full, which is a normal exchange.
    """
    return isinstance(reply, ReplyError) and reply.code != "NOSCRIPT"


def classify_reply(name: str, reply: Reply) -> str:
    """Return ``hit``, ``miss``, ``stored``, ``not_stored``, ``done`` or ``error``.

    The command's name is in upper case.
    """
    if isinstance(reply, ReplyError):
        return "error" if is_failure(reply) else "done"
    kind = COMMANDS.get(name, UNKNOWN).reply
    if kind is ReplyKind.VALUE:
        hits, misses = count_hits(name, reply)
        return "hit" if hits else "miss" if misses else "done"
    if kind is ReplyKind.STORED:
        return "not_stored" if reply is None else "stored"
    return "done"


def select_values(command: Command, reply: Reply) -> Reply:
    """Return the reply without the tokens of tags and the lease that were read with a value."""
    if command[0] != "MGET" or not isinstance(reply, list) or not _is_no_value(command[-1]):
        return reply
    keys = command[1:]
    return [each for key, each in zip(keys, reply, strict=False) if not _is_no_value(key)]


def _is_no_value(key: Argument) -> bool:
    return isinstance(key, str) and key.startswith(_NO_VALUES)


def count_hits(name: str, reply: Reply) -> tuple[int, int]:
    """Return how many keys a read found and did not find; two zeros for any other command."""
    if COMMANDS.get(name, UNKNOWN).reply is not ReplyKind.VALUE or isinstance(reply, ReplyError):
        return 0, 0
    values = reply if isinstance(reply, list) else [reply]
    misses = values.count(None)
    return len(values) - misses, misses
