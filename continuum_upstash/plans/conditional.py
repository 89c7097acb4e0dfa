"""Upstash's compare-and-set commands, DELEX and SET IFEQ, and what replaces them elsewhere.

One of these commands is billed once; the script that replaces it on another server, three times.
Older deployments may lack them: then the script is used from the first rejection on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.observe import logger
from continuum_upstash.plans.effects import Plan, call
from continuum_upstash.protocol import Argument, Command, Reply, Script

# Nothing has run when one of these is the reply.
_UNSUPPORTED: Final = ("ERR Command is not available", "ERR unknown command", "ERR syntax error")


def _replace_locally(
    call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]
) -> Reply:
    return call("SET", keys[0], args[1], *args[2:]) if call("GET", keys[0]) == args[0] else None


# KEYS: the key. ARGV: what it must contain, the new value, and the options of SET.
REPLACE: Final = Script(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end\n"
    "if ARGV[3] then return redis.call('SET', KEYS[1], ARGV[2], ARGV[3], ARGV[4]) end\n"
    "return redis.call('SET', KEYS[1], ARGV[2])",
    _replace_locally,
    lambda _, reply: 1 if reply is None else 2,
    lambda reply: reply in {None, b"OK"},
)


class ConditionalCommands:
    """Whether the server of one database has DELEX and SET IFEQ, as found by this process."""

    __slots__ = ("supported",)

    def __init__(self, *, supported: bool) -> None:
        self.supported = supported

    def detect_rejection(self, error: ReplyError) -> bool:
        """Return whether an error means that the server lacks them, and remember it if so."""
        if not self.supported or not str(error).startswith(_UNSUPPORTED):
            return False
        self.supported = False
        logger.warning(
            "The server lacks DELEX or SET IFEQ; using scripts, which are billed three times: %s",
            error,
        )
        return True


def call_conditional(
    conditional: ConditionalCommands,
    native: Command,
    script: Command,
    *,
    needs_server: bool = True,
) -> Plan[Any]:
    """Send `native` where the server has it, otherwise `script`; return the reply.

    By default the local store serves neither: the comparison is only valid in the shared database.

    Raises:
        ReplyError: the server rejected the command for another reason.
    """
    if conditional.supported:
        try:
            return (yield from call(*native, needs_server=needs_server))
        except ReplyError as error:
            if not conditional.detect_rejection(error):
                raise
    return (yield from call(*script, needs_server=needs_server))


def build_replace(key: str, old: bytes, new: bytes, *options: Argument) -> tuple[Command, Command]:
    """Return two commands that store `new` if `old` is stored: Upstash's own, and a script.

    The reply is None if something else is stored.

    Args:
        key: the Redis key.
        old: what must be stored.
        new: what replaces it.
        options: none, or an expiry of SET: two arguments.
    """
    native: Command = ("SET", key, new, "IFEQ", old, *options)
    return native, ("EVAL", REPLACE, 1, key, old, new, *options)
