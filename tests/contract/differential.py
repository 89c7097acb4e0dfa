"""Runs one command on a real Valkey and in the local store, at the same millisecond."""

from __future__ import annotations

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.command_table import is_reply_to
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command, Reply, Script
from continuum_upstash.transports.local.transport import LocalTransport
from tests.valkey_connection import ValkeyConnection

_IN_ANY_ORDER = {"HKEYS", "HVALS", "SDIFF", "SINTER", "SMEMBERS", "SUNION"}


class DifferentialStore:
    """Runs a command on the server, sets the local clock to the server's, then runs it locally."""

    def __init__(self, server: ValkeyConnection) -> None:
        self._server = server
        self._now = 0
        self.local = LocalTransport(Config(), clock=lambda: (self._now + 0.5) / 1000)
        self.run("FLUSHDB")

    def run(self, *command: str | int | bytes | Script) -> tuple[object, object]:
        """Return the server's reply and the local one, in forms that must be equal."""
        remote = self._run_remotely(_to_valkey(command))
        (local,) = self.local.send(Batch((command,)))
        for reply in (remote, local):
            assert isinstance(reply, ReplyError) or is_reply_to(command, reply)
        return to_comparable(command, remote), to_comparable(command, local)

    def run_both(self, *command: str | int | bytes | Script) -> None:
        """Run a command and compare the replies."""
        remote, local = self.run(*command)
        assert local == remote, command

    def _run_remotely(self, command: tuple[str | int | bytes, ...]) -> Reply:
        # A transaction has one time, so the expiry of the probe shows when the command ran.
        year = 365 * 86_400_000
        *queued, results = self._server.pipeline(
            ("MULTI",),
            ("SET", "probe", "", "PX", year),
            ("PEXPIRETIME", "probe"),
            ("DEL", "probe"),
            command,
            ("EXEC",),
        )
        if isinstance(queued[-1], ReplyError):
            return queued[-1]
        assert isinstance(results, list)
        assert isinstance(results[1], int)
        self._now = results[1] - year
        return results[3]


def _to_valkey(command: Command) -> tuple[str | int | bytes, ...]:
    match command:
        case ("DELEX", key, condition, value) if str(condition).upper() == "IFEQ":
            command = ("DELIFEQ", key, value)
    return tuple(part.lua if isinstance(part, Script) else part for part in command)


def to_comparable(command: Command, reply: Reply) -> object:
    if isinstance(reply, ReplyError):
        text = str(reply).partition(" script: on @user_script")[0]
        return text.removesuffix(", or an option that the local store does not support")
    if command[0] in _IN_ANY_ORDER and isinstance(reply, list):
        return sorted(reply)
    if command[0] == "HGETALL" and isinstance(reply, list):
        return dict(zip(reply[::2], reply[1::2], strict=True))
    if command[0] == "EVAL" and isinstance(reply, bytes):
        return int(reply)  # Lua returns a large number as text, to keep its precision
    return reply
