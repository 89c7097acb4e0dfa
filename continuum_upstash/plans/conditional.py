"""Upstash's compare-and-set commands, DELEX and SET IFEQ, and what replaces them elsewhere.

One of these commands is billed once; the script that replaces it on another server, three times.
Older deployments may lack them: then the script is used from the first rejection on.
"""

from __future__ import annotations

from typing import Any, Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.observe import logger
from continuum_upstash.plans.effects import Plan, call
from continuum_upstash.protocol import Command

# Nothing has run when one of these is the reply.
_UNSUPPORTED: Final = ("ERR Command is not available", "ERR unknown command", "ERR syntax error")


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
