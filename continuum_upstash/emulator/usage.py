"""Counts the commands that the service would bill, and the traffic.

Valkey counts every command that it runs, including commands inside scripts and commands of TCP
clients (`INFO commandstats`). The bill is the sum of these counts without the free commands: each
item of a pipeline or transaction is one command, EVAL is one, and each call inside it is one
(upstash.com/docs/redis/overall/billing and /sdks/ratelimit-ts/costs). A correction accounts for
commands that only the emulator sends, and for commands that it replies to without Valkey.
"""

from collections.abc import Callable
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
    _at_reset: dict[bytes, int] = field(default_factory=dict)

    def subtract(self, commands: int) -> None:
        """Exclude commands that Valkey ran and the service does not bill."""
        self._correction -= commands

    def add(self, commands: int) -> None:
        """Include commands that the service bills and this Valkey did not run."""
        self._correction += commands

    async def reset(self, connection: UpstreamConnection) -> None:
        self.rest, self.tcp, self._correction = Traffic(), Traffic(), 0
        self._at_reset = await _read_calls(connection)

    async def report(self, connection: UpstreamConnection) -> dict[str, object]:
        return {
            "billed": sum((await self._count_calls(connection)).values()) + self._correction,
            "rest": asdict(self.rest),
            "tcp": asdict(self.tcp),
        }

    async def count_writes(
        self, connection: UpstreamConnection, is_write: Callable[[bytes], bool]
    ) -> int:
        """Return how many of the billed commands change data, in scripts too."""
        calls = await self._count_calls(connection)
        return sum(count for name, count in calls.items() if is_write(name))

    async def _count_calls(self, connection: UpstreamConnection) -> dict[bytes, int]:
        calls = await _read_calls(connection)
        return {name: count - self._at_reset.get(name, 0) for name, count in calls.items()}


async def _read_calls(connection: UpstreamConnection) -> dict[bytes, int]:
    """Return how often Valkey has run each command that the service bills."""
    (stats,) = await connection.send([(b"INFO", b"commandstats")])
    calls = {}
    for line in stats.splitlines():
        name, _, figures = line.partition(b":calls=")
        name = name.removeprefix(b"cmdstat_")
        if figures and name.split(b"|")[0] not in _FREE:
            calls[name] = int(figures.split(b",", 1)[0])
    return calls
