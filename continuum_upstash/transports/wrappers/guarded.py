"""Transports that send a batch only if the budget of the month permits it.

They are inside the failover: what the failover itself sends counts, and what the local store serves
does not. The failover lets the local store serve a batch for which they raise `BudgetExceeded`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from continuum_upstash.config.resolve import Config
from continuum_upstash.observe import BUDGET_STAGES
from continuum_upstash.plans.billing import (
    count_all_billed,
    count_writes,
    estimate_billed,
    have_fixed_price,
)
from continuum_upstash.plans.effects import Batch
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.base import AsyncTransport, Transport
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.wrappers.budget_guard import BudgetGuard
from continuum_upstash.transports.wrappers.budget_month import BudgetSource
from continuum_upstash.transports.wrappers.near import NearPolicy

_NORMAL_STAGES: Final = BUDGET_STAGES[:2]  # the near cache keeps copies as it is configured


def make_guard(
    config: Config,
    failover: FailoverPolicy,
    find_near: Callable[[], NearPolicy | None],
    find_source: Callable[[], BudgetSource | None],
) -> BudgetGuard:
    """Return the guard of a database, whose changes of stage reach its other parts."""

    def on_change(old: str, new: str) -> None:
        near = find_near()
        if near is not None and near.own is not None:
            near.own.set_factor(1.0 if new in _NORMAL_STAGES else guard.budget.near_factor)
        failover.report_budget(guard, old, new)

    guard = BudgetGuard(config, find_source, on_change)
    return guard


class GuardedTransport:
    """The sync transport of a database with a budget."""

    def __init__(self, transport: Transport, guard: BudgetGuard) -> None:
        self._transport, self._guard = transport, guard
        self._runner = Runner(transport.send)
        self.name = transport.name

    def send(self, batch: Batch) -> Replies:
        guard, commands = self._guard, batch.commands
        if not have_fixed_price(commands):
            return self._send_and_settle(batch)
        price = len(commands)
        if guard.regions:
            price += guard.regions * count_writes(commands)
        if not guard.take(price, needs_server=batch.needs_server):
            run(guard.reserve(batch, price), self._runner)
        return self._transport.send(batch)

    def _send_and_settle(self, batch: Batch) -> Replies:
        guard, commands = self._guard, batch.commands
        estimate = estimate_billed(commands)
        if not estimate:
            return self._transport.send(batch)
        price = estimate * (1 + guard.regions)  # what a script runs may be writes
        if not guard.take(price, needs_server=batch.needs_server):
            run(guard.reserve(batch, price), self._runner)
        replies = self._transport.send(batch)
        guard.settle(price, count_all_billed(commands, replies) * (1 + guard.regions))
        return replies

    def close(self) -> None:
        self._transport.close()


class AsyncGuardedTransport:
    """The async counterpart of `GuardedTransport`, for one event loop."""

    def __init__(self, transport: AsyncTransport, guard: BudgetGuard) -> None:
        self._transport, self._guard = transport, guard
        self._runner = AsyncRunner(transport.asend)
        self.name = transport.name

    def asend(self, batch: Batch) -> Awaitable[Replies]:
        # Without a coroutine of its own where possible: each costs at every resumption.
        guard, commands = self._guard, batch.commands
        if not have_fixed_price(commands):
            return self._send_and_settle(batch)
        price = len(commands)
        if guard.regions:
            price += guard.regions * count_writes(commands)
        if guard.take(price, needs_server=batch.needs_server):
            return self._transport.asend(batch)
        return self._reserve_and_send(batch, price)

    async def _reserve_and_send(self, batch: Batch, price: int) -> Replies:
        await arun(self._guard.reserve(batch, price), self._runner)
        return await self._transport.asend(batch)

    async def _send_and_settle(self, batch: Batch) -> Replies:
        guard, commands = self._guard, batch.commands
        estimate = estimate_billed(commands)
        if not estimate:
            return await self._transport.asend(batch)
        price = estimate * (1 + guard.regions)  # what a script runs may be writes
        if not guard.take(price, needs_server=batch.needs_server):
            await arun(guard.reserve(batch, price), self._runner)
        replies = await self._transport.asend(batch)
        guard.settle(price, count_all_billed(commands, replies) * (1 + guard.regions))
        return replies

    async def aclose(self) -> None:
        await self._transport.aclose()
