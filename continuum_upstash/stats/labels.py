"""How commands are named in metrics and traces: by what they are and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.command_table import COMMANDS, UNKNOWN, ReplyKind
from continuum_upstash.protocol import Command, Reply

PIPELINE: Final = "PIPELINE"


def operation(commands: Sequence[Command]) -> str:
    """Return the name of a batch: its command's, ``PIPELINE``, or ``PIPELINE GET``."""
    names = {str(command[0]).upper() for command in commands}
    if len(commands) == 1:
        return names.pop()
    return f"{PIPELINE} {names.pop()}" if len(names) == 1 else PIPELINE


def failed(reply: Reply) -> bool:
    """Return whether a reply is an error that somebody should hear of.

    NOSCRIPT is none: with it a server asks for a script that it has not seen yet.
    """
    return isinstance(reply, ReplyError) and reply.code != "NOSCRIPT"


def result(name: str, reply: Reply) -> str:
    """Return ``hit``, ``miss``, ``stored``, ``not_stored``, ``done`` or ``error``."""
    if isinstance(reply, ReplyError):
        return "error" if failed(reply) else "done"
    kind = COMMANDS.get(name, UNKNOWN).reply
    if kind is ReplyKind.VALUE:
        found = any(each is not None for each in reply) if isinstance(reply, list) else reply
        return "hit" if found not in {None, False} else "miss"
    if kind is ReplyKind.STORED:
        return "not_stored" if reply is None else "stored"
    return "done"
