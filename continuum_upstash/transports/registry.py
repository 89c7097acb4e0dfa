"""Everything that is shared in a process: the only module-level state of the package.

Django makes a cache backend per thread and per task. Connections, circuit breakers, local stores
and the features' own objects are kept here instead: one set per configuration, and for async also
per event loop. A forked child starts without them: on its parent's connections it would read its
parent's replies, and another thread of the parent may have held one of the locks.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakValueDictionary

from continuum_upstash.config.resolve import Config
from continuum_upstash.observe import BackendStatus
from continuum_upstash.plans.command_table import list_written_keys
from continuum_upstash.plans.conditional import ConditionalCommands
from continuum_upstash.plans.effects import Batch, FlightKey
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.base import Transport
from continuum_upstash.transports.database_state import Extras, LoopState, LoopStates
from continuum_upstash.transports.factory import (
    build_async_transport,
    build_transport,
    import_modules,
)
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.local.transport import LocalTransport
from continuum_upstash.transports.singleflight import Runs, SingleFlightGroup

if TYPE_CHECKING:
    import asyncio

    from continuum_upstash.transports.factory import PoolFactory
    from continuum_upstash.transports.subscriptions.async_subscription import AsyncSubscription
    from continuum_upstash.transports.subscriptions.subscription import Subscription
    from continuum_upstash.transports.wrappers.budget_guard import BudgetGuard
    from continuum_upstash.transports.wrappers.budget_month import BudgetSource
    from continuum_upstash.transports.wrappers.near import NearPolicy
    from continuum_upstash.transports.wrappers.near_cache import NearCache

logger = logging.getLogger("continuum_upstash")

R = TypeVar("R")
T = TypeVar("T")


class Database:
    """One Redis database as one configuration reaches it, shared by its backends and clients.

    Runners are made of its methods `send`, `asend`, `run_single_flight` and
    `arun_single_flight`: they stay valid after a fork, a closed event loop, and `reconnect`.

    Attributes:
        config: the configuration.
        failover: its circuit breaker, dirty keys and local store; a forked child has its own.
        extras: the features' objects for this database; a forked child starts without.
        near: the near caches that its writes change; None: there are none.
    """

    def __init__(self, config: Config, pool_factory: PoolFactory | None = None) -> None:
        import_modules(config)
        self.config = config
        self._pool_factory = pool_factory
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Drop everything without touching a socket: the sockets are the parent's, too."""
        self._opening = threading.RLock()  # re-entrant: a signal handler may use the cache
        self._transport: Transport | None = None
        self._loops = LoopStates()
        self._closing: set[asyncio.Task[None]] = set()
        self.failover = FailoverPolicy(self.config, _get_local_store(self.config))
        self.extras = Extras()
        self._runs = Runs()
        self._single_flights = SingleFlightGroup(self._runs)
        self._was_opened = False
        self.near: NearPolicy | None = None
        if self.config.near and self.config.mode != "local":
            self.near = _make_near_policy(self.config, self.failover)
        if self.config.budget and self.config.mode != "local":
            self.failover.budget = _make_budget_guard(self)

    def send(self, batch: Batch) -> Replies:
        try:
            return (self._transport or self._open()).send(batch)
        finally:
            if self._runs.by_group:
                self._end_outdated_runs(batch)

    async def asend(self, batch: Batch) -> Replies:
        try:
            return await self._get_loop_state().transport.asend(batch)
        finally:
            if self._runs.by_group:
                self._end_outdated_runs(batch)

    def subscribe(self, *channels: str) -> Subscription:
        """Return a subscription to the messages of channels from now on, as a context manager.

        It has a connection of its own, and is confirmed by the server. It does not use the circuit
        breaker, and is not reconnected.

        Billed commands: 1.

        Raises:
            ConfigurationError: the mode is local, or there is an HTTP proxy.
            ValueError: a name is empty, or contains "/" or control characters.
            Unavailable, ReplyError: the server did not confirm, or rejected it.
        """
        from continuum_upstash.transports.subscriptions.openers import open_subscription  # noqa: PLC0415 only where used

        subscription = open_subscription(self.config, channels, self._pool_factory)
        if self.failover.budget is not None:
            self.failover.budget.settle(0, 1)  # it was not taken before
        return subscription

    async def asubscribe(self, *channels: str) -> AsyncSubscription:
        """The async counterpart of `subscribe`; the subscription belongs to the running loop."""
        from continuum_upstash.transports.subscriptions.openers import aopen_subscription  # noqa: PLC0415 as above

        subscription = await aopen_subscription(self.config, channels, self._pool_factory)
        if self.failover.budget is not None:
            self.failover.budget.settle(0, 1)
        return subscription

    def _end_outdated_runs(self, batch: Batch) -> None:
        keys = list_written_keys(batch)
        if keys is None or keys:
            self._runs.end(keys)

    def connect_near_caches(self, caches: tuple[NearCache, ...]) -> None:
        """Let what this database writes drop the copies in these near caches, its own included."""
        with self._opening:
            if self.near is None:
                self.near = _make_near_policy(self.config, self.failover)
                if self._transport is not None:
                    self._transport = self.near.wrap(self._transport)
                for state in self._loops.list_states():
                    state.transport = self.near.wrap_async(state.transport)
            self.near.caches = caches

    def run_single_flight(self, key: FlightKey, function: Callable[[], R]) -> R:
        """Return the function's result; concurrent calls with one key share one run."""
        return self._single_flights.run(key, function)

    async def arun_single_flight(self, key: FlightKey, function: Callable[[], Awaitable[R]]) -> R:
        """The async counterpart of `run_single_flight`, for one event loop."""
        return await self._get_loop_state().single_flights.run(key, function)

    @property
    def current_backend(self) -> str:
        """Where replies come from now: ``upstash-rest``, ``upstash-redis`` or ``local``."""
        return self.failover.backend

    @property
    def conditional_commands(self) -> ConditionalCommands:
        """Whether the server has DELEX and SET IFEQ, as found by this process."""
        return self.extras.get(
            ConditionalCommands, lambda: ConditionalCommands(supported=self.config.is_upstash)
        )

    @property
    def status(self) -> BackendStatus:
        """The state of its circuit breaker and its local fallback in this process."""
        return self.failover.status

    def close(self) -> None:
        """Close the connections of the sync side; the next batch opens new ones."""
        with self._opening:
            transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
        _forget_if_closed(self)

    async def aclose(self) -> None:
        """Close the connections of the running loop; the next batch opens new ones."""
        import asyncio  # noqa: PLC0415 sync clients start faster without it

        state = self._loops.pop(asyncio.get_running_loop())
        if state is not None:
            await state.transport.aclose()
        _forget_if_closed(self)

    def is_forgettable(self) -> bool:
        """Return whether it is a closed one of plain clients, with no state that matters."""
        is_closed = self._transport is None and not self._loops.list_loops()
        is_of_client = self._pool_factory is None and self.config.mode != "local"
        return is_closed and is_of_client and not len(self.failover.dirty_keys)

    def is_unused(self, pool_factory: PoolFactory, in_use: Collection[Config]) -> bool:
        config = self.config
        is_own = config.mode != "local" and self._pool_factory is pool_factory
        return is_own and config not in in_use

    def shut_down(self) -> None:
        """Close the connections of the sync side and of each running loop."""
        self.close()
        for loop in self._loops.list_loops():
            if loop.is_running():
                loop.call_soon_threadsafe(self._close_in_loop, loop)

    def _close_in_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        task = loop.create_task(self.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _warn_if_unconfigured(self) -> None:
        """Log, once per process, that missing credentials are the reason for the local mode."""
        if self.config.unconfigured and not self._was_opened:
            logger.warning(
                "%s: no database is configured, so each process has its own local store. %s",
                self.config.label,
                self.config.setup_hint,
            )
        self._was_opened = True

    def _open(self) -> Transport:
        with self._opening:
            if self._transport is None:
                self._warn_if_unconfigured()
                transport = build_transport(
                    self.config, self.failover, self._pool_factory, self.extras
                )
                self._transport = self.near.wrap(transport) if self.near else transport
                _remember(self)
            return self._transport

    def _get_loop_state(self) -> LoopState:
        state = self._loops.get_running()
        if state is None:
            import asyncio  # noqa: PLC0415 as above

            loop = asyncio.get_running_loop()
            with self._opening:
                self._warn_if_unconfigured()
                transport = build_async_transport(
                    self.config, self.failover, self._pool_factory, self.extras
                )
                if self.near is not None:
                    transport = self.near.wrap_async(transport)
                state = LoopState(loop, transport, self._runs)
                self._loops.add(state)
                _remember(self)
        return state


class _Process:
    """Everything that this process shares."""

    def __init__(self) -> None:
        self.databases: dict[Config, Database] = {}
        # Of clients that were closed and may be used again.
        self.closed_databases = WeakValueDictionary[Config, Database]()
        self.local_stores: dict[Config, LocalTransport] = {}
        self.budget_source: BudgetSource | None = None
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        self.lock = threading.RLock()
        self.extras = Extras()
        self.local_stores.clear()
        for each in (*self.databases.values(), *self.closed_databases.values()):
            each.reset_after_fork()
        self.connect_near_caches()

    def connect_near_caches(self) -> None:
        """Connect each database to the near caches of all aliases with the same server.

        Not called under the lock: a database that opens holds its own lock and needs this one.
        """
        databases = (*self.databases.values(), *self.closed_databases.values())
        if not any(each.near for each in databases):
            return
        caches: dict[tuple[str, ...], list[NearCache]] = {}
        for each in databases:
            if each.near is not None and each.near.own is not None:
                caches.setdefault(each.config.server_identity, []).append(each.near.own)
        for each in databases:
            found = caches.get(each.config.server_identity, ())
            if found or each.near is not None:
                each.connect_near_caches(tuple(found))


_process = _Process()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_process.reset_after_fork)


def get_database(config: Config, pool_factory: PoolFactory | None = None) -> Database:
    """Return the one `Database` of a configuration in this process.

    Args:
        config: equal configurations share.
        pool_factory: makes the redis-py pool of the TCP mode; None: a plain one.
    """
    with _process.lock:
        found = _process.databases.get(config) or _process.closed_databases.pop(config, None)
        is_new = found is None
        if found is None:
            found = Database(config, pool_factory)
        _process.databases[config] = found
    if is_new:
        _process.connect_near_caches()
    return found


def _forget_if_closed(database: Database) -> None:
    """Drop a closed database of plain clients, with its credentials, once no client refers to it.

    Those of Django's caches stay: their circuit breakers outlive the objects that use them.
    """
    with _process.lock:
        if _process.databases.get(database.config) is database and database.is_forgettable():
            del _process.databases[database.config]
            _process.closed_databases[database.config] = database


def _remember(database: Database) -> None:
    """Keep a database that was closed and is used again."""
    with _process.lock:
        if _process.closed_databases.get(database.config) is database:
            del _process.closed_databases[database.config]
            _process.databases[database.config] = database


def list_databases() -> tuple[Database, ...]:
    """Return the databases that this process has used."""
    return tuple(_process.databases.values())


def get_process_state(kind: type[T], make: Callable[[], T] | None = None) -> T:
    """Return the one object of class `kind` in this process; a forked child makes its own.

    State of one database belongs in `Database.extras` instead. An observer should call this for
    each record, since a forked child must not use the object of its parent.

    Args:
        kind: the class.
        make: makes the object where `kind()` would not do.
    """
    return _process.extras.get(kind, make)


def set_budget_source(source: BudgetSource) -> None:
    """Let the guards of budgets count with the statistics; forked children keep the source."""
    _process.budget_source = source


def close_unused(pool_factory: PoolFactory, in_use: Collection[Config]) -> None:
    """Close and drop the databases of a pool factory whose configurations are not in use.

    Databases in local mode stay: like that of Django's LocMemCache, their content outlives a change
    of the settings.
    """
    with _process.lock:
        unused = [each for each in list_databases() if each.is_unused(pool_factory, in_use)]
        for each in unused:
            del _process.databases[each.config]
    _process.connect_near_caches()
    for each in unused:
        each.shut_down()


def reset() -> None:
    """Close and drop every database, for example when the settings change."""
    with _process.lock:
        dropped = list_databases()
        _process.databases.clear()
        _process.local_stores.clear()
    for each in dropped:
        each.close()


def _make_near_policy(config: Config, failover: FailoverPolicy) -> NearPolicy:
    from continuum_upstash.transports.wrappers import near  # noqa: PLC0415 only with NEAR

    return near.NearPolicy(config, failover)


def _make_budget_guard(database: Database) -> BudgetGuard:
    from continuum_upstash.transports.wrappers import guarded  # noqa: PLC0415 only with BUDGET

    return guarded.make_guard(
        database.config, database.failover, lambda: database.near, lambda: _process.budget_source
    )


def _get_local_store(config: Config) -> LocalTransport:
    if config.mode != "local":
        return LocalTransport(config)
    # As with LocMemCache, aliases that differ only in their keys share a store.
    key = config.replace(alias="")
    return _process.local_stores.setdefault(key, LocalTransport(key))
