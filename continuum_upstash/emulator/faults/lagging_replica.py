"""A read replica that is behind: real replication, through a proxy that holds it back."""

from contextlib import AsyncExitStack

from continuum_upstash.emulator.faults.model import Faults
from continuum_upstash.emulator.faults.read_routing import Views
from continuum_upstash.emulator.listeners import Door
from continuum_upstash.emulator.options import BadOption
from continuum_upstash.emulator.redis import embedded_valkey
from continuum_upstash.emulator.redis.connection import Address, Pool, UpstreamError
from continuum_upstash.emulator.tcp_proxy import TcpProxy
from continuum_upstash.emulator.usage import Ledger

_WAIT = (b"WAIT", b"1", b"10000")  # milliseconds


class Replica:
    def __init__(self, primary: Address, views: Views, ledger: Ledger, *, embedded: bool) -> None:
        self._primary = primary
        self._views = views
        self._ledger = ledger
        self._embedded = embedded
        self._running: AsyncExitStack | None = None

    async def fall_behind(self, seconds: float) -> None:
        """Start a replica that follows `seconds` late from now on.

        Raises BadOption, UpstreamError, ValkeyUnavailable.
        """
        if not self._embedded:
            raise BadOption("a lagging replica needs the embedded Valkey: leave out --redis-url")
        if self._running is not None:
            return
        async with AsyncExitStack() as cleanup:
            proxy = TcpProxy(self._primary, Ledger(), Faults())
            door = Door("127.0.0.1", 0, proxy.accept)
            cleanup.callback(door.close)
            cleanup.callback(proxy.reset_all)
            await door.open()
            password = self._primary.password
            server = await embedded_valkey.start(
                password, password, evict=False, replica_of=f"127.0.0.1 {door.port}"
            )
            cleanup.callback(server.stop)
            pool = Pool(server.address)
            cleanup.callback(pool.close)
            await self._in_step()
            proxy.reply_delay = seconds
            self._views.lag(pool, seconds)
            self._running = cleanup.pop_all()

    async def _in_step(self) -> None:
        """Return when the replica has acknowledged a command sent now.

        Before its first acknowledgement, up to a second after it has loaded the data, the primary
        streams nothing to it.
        """
        async with self._views.for_writing().pool.connection() as primary:
            # The first WAIT ends when a replica is attached; a PUBLISH before would not reach it.
            *_, replicas = await primary.send(
                [_WAIT, (b"PUBLISH", b"__emulator:replica", b""), _WAIT]
            )
            self._ledger.forgive(3)
        if replicas != 1:
            raise UpstreamError("the lagging replica did not get the data in time")

    async def catch_up(self) -> None:
        self._views.catch_up()
        if self._running is not None:
            running, self._running = self._running, None
            await running.aclose()
