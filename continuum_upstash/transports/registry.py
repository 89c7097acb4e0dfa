"""Everything that costs, once per configuration: the only module-level state of the package.

Django makes a backend object per thread and per task. Connections, the local store and the runs
under way hang here instead: per process for sync, per running loop for async, and anew after a
fork, since a child that used its parent's connections would read its parent's replies.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.base import AsyncTransport, Transport
from continuum_upstash.transports.factory import achain, chain
from continuum_upstash.transports.failover.policy import Standby, Status
from continuum_upstash.transports.local.transport import Local
from continuum_upstash.transports.singleflight import AsyncFlights, Flights

if TYPE_CHECKING:
    from continuum_upstash.transports.factory import PoolFactory

R = TypeVar("R")


class _Loop:
    """What belongs to one event loop."""

    __slots__ = ("flights", "transport")

    def __init__(self, transport: AsyncTransport) -> None:
        self.transport = transport
        self.flights = AsyncFlights()


class Database:
    """What all backends and clients of one configuration share.

    Its `send`, `asend`, `once` and `aonce` are what drivers are made of; they stay valid over
    forks, closed loops and `reconnect`.

    Attributes:
        config: what it was made from.
        standby: its breaker and what answers in its place; a forked child has its own.
    """

    def __init__(self, config: Config, pool_factory: PoolFactory | None = None) -> None:
        self.config = config
        self._pool_factory = pool_factory
        self.forget()

    def forget(self) -> None:
        """Drop everything without touching a socket, as a forked child must."""
        self._opening = threading.RLock()  # re-entrant as the breaker's
        self._transport: Transport | None = None
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}
        self.standby = Standby(self.config, _local_store(self.config))
        self._flights = Flights()

    def send(self, batch: Batch) -> Replies:
        return (self._transport or self._open()).send(batch)

    async def asend(self, batch: Batch) -> Replies:
        return await self._here().transport.asend(batch)

    def once(self, key: str, run: Callable[[], R]) -> R:
        return self._flights.once(key, run)

    async def aonce(self, key: str, run: Callable[[], Awaitable[R]]) -> R:
        return await self._here().flights.once(key, run)

    @property
    def current_backend(self) -> str:
        """Who answers now: ``upstash-rest``, ``upstash-redis`` or ``local``."""
        return self.standby.backend

    @property
    def status(self) -> Status:
        """How it is doing, as this process sees it."""
        return self.standby.status()

    def close(self) -> None:
        """Close the connections of the sync side; the next batch opens new ones."""
        with self._opening:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    async def aclose(self) -> None:
        """Close the connections of the running loop; the next batch opens new ones."""
        here = self._loops.pop(asyncio.get_running_loop(), None)
        if here is not None:
            await here.transport.aclose()

    def _open(self) -> Transport:
        with self._opening:
            if self._transport is None:
                self._transport = chain(self.config, self.standby, self._pool_factory)
            return self._transport

    def _here(self) -> _Loop:
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            with self._opening:
                # async_to_sync makes a loop for each call: what a closed one left must not pile up.
                for gone in [other for other in tuple(self._loops) if other.is_closed()]:
                    self._loops.pop(gone, None)  # its owner may be closing it
                transport = achain(self.config, self.standby, self._pool_factory)
                here = self._loops[loop] = _Loop(transport)
        return here


_databases: dict[Config, Database] = {}
_local_stores: dict[Config, Local] = {}
_lock = threading.RLock()


def database(config: Config, pool_factory: PoolFactory | None = None) -> Database:
    """Return the one `Database` of a configuration in this process.

    Args:
        config: equal configurations share.
        pool_factory: makes the redis-py pool of the TCP mode; None: a plain one.
    """
    with _lock:
        found = _databases.get(config)
        if found is None:
            found = _databases[config] = Database(config, pool_factory)
        return found


def _local_store(config: Config) -> Local:
    if config.mode != "local":
        return Local(config)
    # As with LocMemCache, aliases that differ in nothing but their keys see one store.
    key = replace(config, alias="")
    return _local_stores.setdefault(key, Local(key))


def databases() -> tuple[Database, ...]:
    """Return those of this process so far."""
    return tuple(_databases.values())


def reset() -> None:
    """Close and forget every database, as when the settings change."""
    with _lock:
        gone = tuple(_databases.values())
        _databases.clear()
        _local_stores.clear()
    for each in gone:
        each.close()


def _after_fork_in_child() -> None:
    global _lock  # noqa: PLW0603 another thread of the parent may have held it
    _lock = threading.RLock()
    _local_stores.clear()
    for each in _databases.values():
        each.forget()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork_in_child)
