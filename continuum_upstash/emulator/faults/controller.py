"""Activates and removes faults, and applies those that act on ports or on the replica."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from continuum_upstash.emulator.faults.lagging_replica import LaggingReplica
from continuum_upstash.emulator.faults.model import Fault, FaultKind, Faults, Side
from continuum_upstash.emulator.listeners import Listener


@dataclass(frozen=True, slots=True)
class PublicPort:
    """A port for clients. `reset_all` resets the connections that it accepted."""

    side: Side
    listener: Listener
    reset_all: Callable[[], None]


class FaultController:
    def __init__(self, faults: Faults, ports: list[PublicPort], replica: LaggingReplica) -> None:
        self.faults = faults
        self._replica = replica
        self._ports = ports
        self._lock = asyncio.Lock()

    async def activate(self, fault: Fault) -> int:
        """Return the number of the fault, which `deactivate` takes.

        Raises:
            InvalidOption, UpstreamError, ValkeyUnavailable: the fault is not active.
        """
        number = self.faults.add(fault)
        try:
            await self._apply()
        except Exception:
            self.faults.remove(number)
            raise
        return number

    async def deactivate(self, number: int) -> None:
        self.faults.remove(number)
        await self._apply()

    async def deactivate_all(self) -> None:
        self.faults.clear()
        await self._apply()

    async def start(self) -> None:
        """Open the ports, except those that a `refuse` fault keeps closed."""
        await self._apply()

    async def _apply(self) -> None:
        async with self._lock:
            await self._apply_locked()

    async def _apply_locked(self) -> None:
        for port in self._ports:
            if self.faults.is_active(FaultKind.REFUSE, port.side):
                port.listener.stop_listening()
                port.reset_all()
            else:
                await port.listener.open()
        if lag := self.faults.consume(FaultKind.LAG, Side.REST):
            await self._replica.start_lag(lag.seconds)
        else:
            await self._replica.stop_lag()
