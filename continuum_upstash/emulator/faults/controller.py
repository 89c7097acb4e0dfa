"""Switches faults, and does for each what cannot be left to the next request."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from continuum_upstash.emulator.faults.lagging_replica import Replica
from continuum_upstash.emulator.faults.model import Fault, FaultKind, Faults, Side
from continuum_upstash.emulator.listeners import Door


@dataclass(frozen=True, slots=True)
class Entrance:
    """A public port, and how to cut the connections that came through it."""

    side: Side
    door: Door
    reset_all: Callable[[], None]


class Switchboard:
    def __init__(self, faults: Faults, entrances: list[Entrance], replica: Replica) -> None:
        self.faults = faults
        self._replica = replica
        self._entrances = entrances
        self._switching = asyncio.Lock()

    async def on(self, fault: Fault) -> int:
        """Raises BadOption, UpstreamError or ValkeyUnavailable, and then nothing is switched."""
        number = self.faults.add(fault)
        try:
            await self._apply()
        except Exception:
            self.faults.remove(number)
            raise
        return number

    async def off(self, number: int) -> None:
        self.faults.remove(number)
        await self._apply()

    async def start(self) -> None:
        """Open the ports, but for those that a fault set beforehand keeps shut."""
        await self._apply()

    async def all_off(self) -> None:
        self.faults.clear()
        await self._apply()

    async def _apply(self) -> None:
        async with self._switching:
            await self._bring_about()

    async def _bring_about(self) -> None:
        for entrance in self._entrances:
            if self.faults.has(FaultKind.REFUSE, entrance.side):
                entrance.door.refuse()
                entrance.reset_all()
            else:
                await entrance.door.open()
        if lag := self.faults.take(FaultKind.LAG, Side.REST):
            await self._replica.fall_behind(lag.seconds)
        else:
            await self._replica.catch_up()
