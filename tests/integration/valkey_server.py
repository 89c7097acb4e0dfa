"""A real Valkey, and the test's own connection to inspect it."""

from __future__ import annotations

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply
from tests.valkey_connection import ValkeyConnection


class Valkey:
    def __init__(self, port: int, socket_path: str) -> None:
        self.port = port
        self.socket_path = socket_path
        self.url = f"redis://127.0.0.1:{port}"
        self._connection = ValkeyConnection(port)
        self.close = self._connection.close

    def call(self, *command: str | int | bytes) -> Reply:
        reply = self._connection.call(*command)
        assert not isinstance(reply, ReplyError), reply
        return reply

    def reset(self) -> None:
        self.call("CONFIG", "SET", "requirepass", "", "maxclients", "10000")
        self.call("CONFIG", "SET", "proto-max-bulk-len", "512mb")
        self.call("FLUSHALL")
        self.call("CONFIG", "RESETSTAT")

    def count_connections(self) -> int:
        """Return how many are open besides this one."""
        listed = self.call("CLIENT", "LIST", "TYPE", "normal")
        assert isinstance(listed, bytes)
        return len(listed.splitlines()) - 1

    def count_calls(self) -> dict[str, int]:
        """Return how often each command ran since the last reset, for example ``{"get": 2}``."""
        stats = self.call("INFO", "commandstats")
        assert isinstance(stats, bytes)
        counts = {}
        for line in stats.decode().splitlines():
            name, _, figures = line.removeprefix("cmdstat_").partition(":calls=")
            if figures and not name.startswith(("config|", "client|list", "info")):
                counts[name] = int(figures.partition(",")[0])
        return counts
