"""Runs each command on a real Valkey and in the local store, at the same millisecond."""

from __future__ import annotations

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command, Reply, Script
from continuum_upstash.transports.local.transport import LocalTransport
from tests.contract.valkey import Server


class DifferentialStore:
    """Run a command on the server, set the local clock to the server's, run it locally."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._now = 0
        self.local = LocalTransport(Config(), clock=lambda: (self._now + 0.5) / 1000)
        self.run("FLUSHALL")

    def run(self, *command: str | int | bytes | Script) -> tuple[Reply, Reply]:
        from_server = self._send_to_server(_translate_to_valkey(command))
        (from_local,) = self.local.send(Batch((command,)))
        return normalize(command, from_server), normalize(command, from_local)

    def run_locally(self, *command: str | int | bytes) -> Reply:
        return self.run(*command)[1]

    def run_on_server(self, *command: str | int | bytes) -> Reply:
        return self.run(*command)[0]

    def _send_to_server(self, command: tuple[str | int | bytes, ...]) -> Reply:
        # Time does not advance in a transaction: the probe's expiry gives the time of the command.
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


def _translate_to_valkey(command: Command) -> tuple[str | int | bytes, ...]:
    match command:
        case ("DELEX", key, condition, value) if str(condition).upper() == "IFEQ":
            command = ("DELIFEQ", key, value)
        case ("DELEX", key):
            command = ("DEL", key)
    return tuple(part.lua if isinstance(part, Script) else part for part in command)


def normalize(command: Command, reply: Reply) -> object:
    if isinstance(reply, ReplyError):
        return str(reply).partition(" script: on @user_script")[0]
    if command[0] == "SMEMBERS" and isinstance(reply, list):
        return set(reply)
    if command[0] == "HGETALL" and isinstance(reply, list):
        return dict(zip(reply[::2], reply[1::2], strict=True))
    if command[0] == "EVAL" and isinstance(reply, bytes):
        return int(reply)  # Lua returns a large number as text, because its numbers are doubles
    return reply
