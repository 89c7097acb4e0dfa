"""What the service would have billed and moved.

Valkey itself counts every call it runs, scripts' inner calls and TCP clients' included
(`INFO commandstats`), so the bill is the sum of those calls without the free commands: one command
is one request, each item of a pipeline or transaction counts, EVAL counts and so does each call
inside it (upstash.com/docs/redis/overall/pricing and /sdks/ratelimit-ts/costs). The ledger only
corrects for what the emulator sends on its own account, or answers without sending.
"""

from dataclasses import asdict, dataclass, field
from typing import Final

from continuum_upstash.emulator.redis.connection import Connection

# The service's list (FAQ of March 2025); MULTI, EXEC and their kin, which over REST are the
# envelope of /multi-exec, and nothing says that it is billed; and what our own replica says.
_FREE: Final = frozenset(
    b"auth hello select command config info ping reset quit "
    b"multi exec discard watch unwatch replconf psync".split()
)


@dataclass(slots=True)
class Traffic:
    """Totals since the last reset. Bytes are those of bodies over REST and of the wire over TCP."""

    requests: int = 0
    connections: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0


@dataclass(slots=True)
class Ledger:
    rest: Traffic = field(default_factory=Traffic)
    tcp: Traffic = field(default_factory=Traffic)
    _correction: int = 0

    def forgive(self, commands: int) -> None:
        """Valkey ran commands that the service would not have billed."""
        self._correction -= commands

    def charge(self, commands: int) -> None:
        """The service bills commands that Valkey never saw."""
        self._correction += commands

    async def reset(self, connection: Connection) -> None:
        self.rest, self.tcp, self._correction = Traffic(), Traffic(), 0
        self._correction = -await _calls(connection)

    async def report(self, connection: Connection) -> dict[str, object]:
        return {
            "billed": await _calls(connection) + self._correction,
            "rest": asdict(self.rest),
            "tcp": asdict(self.tcp),
        }


async def _calls(connection: Connection) -> int:
    (stats,) = await connection.send([(b"INFO", b"commandstats")])
    total = 0
    for line in stats.splitlines():
        name, _, figures = line.partition(b":calls=")
        if figures and name.removeprefix(b"cmdstat_").split(b"|")[0] not in _FREE:
            total += int(figures.split(b",", 1)[0])
    return total
