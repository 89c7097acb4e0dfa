"""Switches faults, and does for each what cannot be left to the next request."""

from collections.abc import Callable
from dataclasses import dataclass

from .doors import Door
from .faults import Fault, FaultKind, Faults, Side


@dataclass(frozen=True, slots=True)
class Entrance:
    """A public port, and how to cut the connections that came through it."""

    side: Side
    door: Door
    reset_all: Callable[[], None]


class Switchboard:
    def __init__(self, faults: Faults, entrances: list[Entrance]) -> None:
        self.faults = faults
        self._entrances = entrances

    async def on(self, fault: Fault) -> int:
        number = self.faults.add(fault)
        await self._apply()
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
        for entrance in self._entrances:
            if self.faults.has(FaultKind.REFUSE, entrance.side):
                entrance.door.refuse()
                entrance.reset_all()
            else:
                await entrance.door.open()
