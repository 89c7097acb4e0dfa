"""Counts the commands that the service would bill, and the traffic.

Valkey counts every command that it runs, including commands inside scripts and commands of TCP
clients (`INFO commandstats`). The bill is the sum of these counts without the free commands: each
item of a pipeline or transaction is one command, EVAL is one, and each call inside it is one
(upstash.com/docs/redis/overall/billing and /sdks/ratelimit-ts/costs). A correction accounts for
commands that only the emulator sends, and for commands that it replies to without Valkey.
"""

from dataclasses import asdict, dataclass, field
from typing import Final

from continuum_upstash.emulator.redis.upstream import UpstreamConnection

# The service's list of free commands (FAQ of March 2025); MULTI, EXEC and the like, since nothing
# documents that /multi-exec bills them; and the commands of the emulator's replica.
_FREE: Final = frozenset(
    b"auth hello select command config info ping reset quit "
    b"multi exec discard watch unwatch replconf psync".split()
)


@dataclass(slots=True)
class Traffic:
    """Totals since the last reset. REST bytes are those of the bodies; TCP bytes are all bytes."""

    requests: int = 0
    connections: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0


@dataclass(slots=True)
class UsageCounter:
    rest: Traffic = field(default_factory=Traffic)
    tcp: Traffic = field(default_factory=Traffic)
    _correction: int = 0

    def subtract(self, commands: int) -> None:
        """Exclude commands that Valkey ran and the service does not bill."""
        self._correction -= commands

    def add(self, commands: int) -> None:
        """Include commands that the service bills and this Valkey did not run."""
        self._correction += commands

    async def reset(self, connection: UpstreamConnection) -> None:
        self.rest, self.tcp, self._correction = Traffic(), Traffic(), 0
        self._correction = -await _count_calls(connection)

    async def report(self, connection: UpstreamConnection) -> dict[str, object]:
        return {
            "billed": await _count_calls(connection) + self._correction,
            "rest": asdict(self.rest),
            "tcp": asdict(self.tcp),
        }


async def _count_calls(connection: UpstreamConnection) -> int:
    (stats,) = await connection.send([(b"INFO", b"commandstats")])
    total = 0
    for line in stats.splitlines():
        name, _, figures = line.partition(b":calls=")
        if figures and name.removeprefix(b"cmdstat_").split(b"|")[0] not in _FREE:
            total += int(figures.split(b",", 1)[0])
    return total
