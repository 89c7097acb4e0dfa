from __future__ import annotations

import asyncio

import pytest

from continuum_upstash.errors import ConnectionFailed, NotSerializable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.database_state import Extras
from continuum_upstash.transports.factory import build_async_transport
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.local.transport import LocalTransport
from continuum_upstash.transports.rest import rotating_token, sync_token
from continuum_upstash.transports.wrappers.coalesce import MAX_BYTES, CoalescingTransport
from tests.unit.transports.failover.failover_harness import CONFIG


class Echo:
    """Replies to each command with its first argument, and keeps the batches."""

    name = "echo"

    def __init__(self):
        self.batches, self.fails, self.hold = [], None, None
        self.entered = asyncio.Event()

    async def asend(self, batch):
        self.batches.append(batch)
        if self.hold is not None:
            self.entered.set()
            await self.hold.wait()
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        sync_token.get_tokens().update("db", b"5")
        return [command[1] for command in batch.commands]

    async def aclose(self):
        self.batches.append("closed")


def get(key):
    return Batch([("GET", key)])


async def test_the_commands_of_a_tick_are_sent_together_in_order():
    echo = Echo()
    coalescing = CoalescingTransport(echo)
    batches = [get("a"), Batch([("GET", "b"), ("GET", "c")]), get("d")]
    replies = await asyncio.gather(*map(coalescing.asend, batches))
    assert replies == [["a"], ["b", "c"], ["d"]]
    assert [len(batch.commands) for batch in echo.batches] == [4]


async def test_a_single_batch_is_sent_unchanged():
    echo = Echo()
    lone = get("a")
    assert await CoalescingTransport(echo).asend(lone) == ["a"]
    assert echo.batches == [lone]


async def test_transactions_are_never_merged():
    echo = Echo()
    coalescing = CoalescingTransport(echo)
    atomic = Batch([("GET", "a")], atomic=True)
    await asyncio.gather(coalescing.asend(atomic), coalescing.asend(get("b")))
    assert sorted(len(batch.commands) for batch in echo.batches) == [1, 1]
    assert atomic in echo.batches


@pytest.mark.parametrize(
    ("batches", "sizes"),
    [
        ([get("k")] * 300, [128, 128, 44]),
        ([Batch([("SET", "k", b"x" * (MAX_BYTES // 2))])] * 3, [1, 1, 1]),
        ([Batch([("GET", "k")] * 200), get("k")], [200, 1]),
    ],
)
async def test_a_request_stays_within_its_limits(batches, sizes):
    echo = Echo()
    coalescing = CoalescingTransport(echo)
    await asyncio.gather(*map(coalescing.asend, batches))
    assert [len(batch.commands) for batch in echo.batches] == sizes


async def test_a_failure_reaches_every_caller():
    echo = Echo()
    echo.fails = ConnectionFailed("gone")
    coalescing = CoalescingTransport(echo)
    results = await asyncio.gather(
        *(coalescing.asend(get(str(n))) for n in range(3)), return_exceptions=True
    )
    assert results == [echo.fails] * 3


async def test_an_invalid_key_fails_only_its_own_batch():
    class Strict(Echo):
        async def asend(self, batch):
            if ("GET", "bad") in batch.commands:
                raise NotSerializable("a key holds a lone surrogate")
            return await super().asend(batch)

    coalescing = CoalescingTransport(Strict())
    results = await asyncio.gather(
        *(coalescing.asend(get(key)) for key in ("a", "bad", "b")), return_exceptions=True
    )
    assert (results[0], results[2]) == (["a"], ["b"])
    assert isinstance(results[1], NotSerializable)


async def test_a_cancelled_batch_is_not_sent_and_the_others_are():
    echo = Echo()
    coalescing = CoalescingTransport(echo)
    tasks = [asyncio.create_task(coalescing.asend(get(key))) for key in "abc"]
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (tasks[0].result(), tasks[2].result()) == (["a"], ["c"])
    echo.hold = asyncio.Event()
    tasks = [asyncio.create_task(coalescing.asend(get(key))) for key in "de"]
    await echo.entered.wait()
    tasks[0].cancel()
    echo.hold.set()
    assert await tasks[1] == ["e"]
    assert not coalescing._tasks


async def test_callers_share_the_sync_tokens_of_a_merged_request():
    echo = Echo()
    coalescing = CoalescingTransport(echo)
    seen = []

    async def request(key):
        with sync_token.override(sync_token.SyncTokens()) as tokens:
            await coalescing.asend(get(key))
            seen.append(tokens.get("db"))

    await asyncio.gather(request("a"), request("b"))
    await request("c")
    assert seen == [b"5"] * 3


async def test_closing_closes_the_inner_transport():
    echo = Echo()
    await CoalescingTransport(echo).aclose()
    assert echo.batches == ["closed"]


class Held(Echo):
    """Sends nothing until the test allows it; counts the exchanges that were ended."""

    def __init__(self):
        super().__init__()
        self.hold = asyncio.Event()
        self.ended = 0

    async def asend(self, batch):
        try:
            return await super().asend(batch)
        except asyncio.CancelledError:
            self.ended += 1
            raise


def put(key, *options):
    return Batch([("SET", key, b"v", *options)])


async def cancel(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_exchange_of_a_cancelled_write_ends():
    held, dirty = Held(), []
    coalescing = CoalescingTransport(held, "shop", dirty.extend)
    tasks = [asyncio.create_task(coalescing.asend(batch)) for batch in (put("a"), get("b"))]
    await held.entered.wait()
    await cancel(tasks[1])
    assert held.ended == 0
    await cancel(tasks[0])
    await asyncio.sleep(0)
    assert (held.ended, dirty) == (1, [])


async def test_the_keys_of_a_cancelled_write_are_dirty_if_its_request_goes_on():
    held, dirty = Held(), []
    coalescing = CoalescingTransport(held, "shop", dirty.extend)
    batches = [put("a"), put("add", "NX"), Batch([("INCRBY", "n", 1)]), get("b")]
    tasks = [asyncio.create_task(coalescing.asend(batch)) for batch in batches]
    await held.entered.wait()
    for task in tasks[:3]:
        await cancel(task)
    assert (held.ended, dirty) == (0, ["a"])
    held.hold.set()
    assert await tasks[3] == ["b"]
    assert dirty == ["a", "a"], "the write arrived after the key was marked first"


async def test_cancelled_reads_keep_their_connection():
    held = Held()
    coalescing = CoalescingTransport(held)
    tasks = [asyncio.create_task(coalescing.asend(get(key))) for key in "ab"]
    await held.entered.wait()
    for task in tasks:
        await cancel(task)
    held.hold.set()
    await asyncio.sleep(0)
    assert held.ended == 0


async def test_the_exchange_of_a_lone_batch_ends_with_its_caller():
    held, dirty = Held(), []
    task = asyncio.create_task(CoalescingTransport(held, "shop", dirty.extend).asend(put("a")))
    await held.entered.wait()
    await cancel(task)
    assert (held.ended, dirty) == (1, [])


async def test_a_lone_batch_is_sent_by_its_caller_at_once():
    echo = Echo()
    coalescing = CoalescingTransport(echo)
    sending = coalescing.asend(get("a"))
    sending.send(None)  # up to where the transport waits
    assert echo.batches == [get("a")]
    # Others of the same tick, as eager tasks would start them, are sent together.
    others = [asyncio.create_task(coalescing.asend(get(key))) for key in "bc"]
    assert await asyncio.gather(*others) == [["b"], ["c"]]
    assert [len(batch.commands) for batch in echo.batches] == [1, 2]
    sending.close()


async def test_a_caller_that_no_other_joins_sends_by_itself_where_loops_hide_their_callbacks():
    asyncio.get_running_loop().call_soon(int)  # as if a task might join
    echo = Echo()
    callers = []

    class Watched(Echo):
        async def asend(self, batch):
            callers.append(asyncio.current_task())
            return await echo.asend(batch)

    assert await CoalescingTransport(Watched()).asend(get("a")) == ["a"]
    assert callers == [asyncio.current_task()]


@pytest.mark.parametrize("fallback", [True, False])
async def test_the_failover_of_a_database_gets_the_keys_of_a_cancelled_write(monkeypatch, fallback):
    held, config = Held(), CONFIG.replace(fallback=fallback)
    monkeypatch.setattr(rotating_token, "make_async_rest_transport", lambda *_: held)
    failover = FailoverPolicy(config, LocalTransport(config))
    transport = build_async_transport(config, failover, None, Extras())
    session = put("session", "XX")._replace(needs_server=True)
    tasks = [asyncio.create_task(transport.asend(each)) for each in (put("a"), session, get("b"))]
    await held.entered.wait()
    await cancel(tasks[0])
    await cancel(tasks[1])
    assert [key in failover.dirty_keys for key in ("a", "session")] == [fallback, False]
    await cancel(tasks[2])
