"""A read replica with replication lag: replication goes through a proxy that delays it."""

from contextlib import AsyncExitStack

from continuum_upstash.emulator.emulator_options import InvalidOption
from continuum_upstash.emulator.faults.read_routing import ReadRouter
from continuum_upstash.emulator.faults.replication_proxy import ReplicationProxy
from continuum_upstash.emulator.listeners import Listener
from continuum_upstash.emulator.redis import embedded_valkey
from continuum_upstash.emulator.redis.upstream import Address, UpstreamError, UpstreamPool
from continuum_upstash.emulator.usage import UsageCounter

_WAIT = (b"WAIT", b"1", b"10000")  # milliseconds


class LaggingReplica:
    def __init__(
        self, primary: Address, router: ReadRouter, usage: UsageCounter, *, embedded: bool
    ) -> None:
        self._primary = primary
        self._router = router
        self._usage = usage
        self._embedded = embedded
        self._running: AsyncExitStack | None = None

    async def start_lag(self, seconds: float) -> None:
        """Start a replica that applies each write after `seconds`, and route reads to it.

        Raises:
            InvalidOption: the server is not the embedded Valkey.
            UpstreamError, ValkeyUnavailable: the replica does not start.
        """
        if not self._embedded:
            raise InvalidOption(
                "the fault lag needs the embedded Valkey: start the emulator without --redis-url"
            )
        if self._running is not None:
            return
        async with AsyncExitStack() as cleanup:
            proxy = ReplicationProxy(self._primary)
            listener = Listener("127.0.0.1", 0, proxy.accept)
            cleanup.callback(listener.close)
            cleanup.callback(proxy.reset_all)
            await listener.open()
            server = await embedded_valkey.start(
                self._primary.password, evict=False, replica_of=f"127.0.0.1 {listener.port}"
            )
            cleanup.callback(server.stop)
            pool = UpstreamPool(server.address)
            cleanup.callback(pool.close)
            await self._wait_until_synced()
            proxy.delay = seconds
            self._router.set_replica(pool, seconds)
            self._running = cleanup.pop_all()

    async def _wait_until_synced(self) -> None:
        """Wait until the replica acknowledges a new command.

        The primary streams commands to a replica only after its first acknowledgement, which comes
        up to a second after it has loaded the data.
        """
        async with self._router.route_write().pool.connection() as primary:
            # The first WAIT returns when a replica is connected; an earlier PUBLISH would be lost.
            *_, replicas = await primary.send(
                [_WAIT, (b"PUBLISH", b"__emulator:replica", b""), _WAIT]
            )
            self._usage.subtract(3)
        if replicas != 1:
            raise UpstreamError("the lagging replica did not receive the data within 10 s")

    async def stop_lag(self) -> None:
        """Stop the replica and route reads to the primary."""
        self._router.remove_replica()
        if self._running is not None:
            running, self._running = self._running, None
            await running.aclose()
