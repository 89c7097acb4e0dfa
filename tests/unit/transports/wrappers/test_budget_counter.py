"""The counter of a budget: what processes reserve, and how exactly it counts what they send."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import pytest

from continuum_upstash import observe
from continuum_upstash.errors import (
    BudgetExceeded,
    CapacityExceeded,
    ConnectionFailed,
    DeadlineExceeded,
    QuotaExceeded,
    Unavailable,
)
from continuum_upstash.plans.effects import Batch
from continuum_upstash.plans.runner import Runner, run
from continuum_upstash.protocol import Script
from continuum_upstash.transports.wrappers.budget_month import KEPT_SECONDS
from tests.unit.transports.wrappers.budgeted_site import (
    GET,
    KEY,
    SESSION,
    UNTIL_HARD,
    FakeSource,
    Site,
    call_until,
    is_sent,
)


def test_the_first_batch_joins_and_later_ones_use_what_is_reserved(site):
    process = site.start_process({"COMMANDS": 40_000})
    process.call(*GET)
    joining = [("INCRBY", KEY, 1), ("INCRBY", KEY, 2), ("EXPIRE", KEY, KEPT_SECONDS)]
    assert site.server.sent == [*joining, ("INCRBY", KEY, 101), GET]
    site.server.sent.clear()
    for _ in range(100):
        process.call(*GET)
    assert site.server.sent == [GET] * 99 + [("INCRBY", KEY, 101), GET]
    other = site.start_process({"COMMANDS": 40_000})
    site.server.sent.clear()
    other.call(*GET)
    assert site.server.sent == [("INCRBY", KEY, 1), ("INCRBY", KEY, 101), GET]


def test_waiting_for_a_reservation_does_not_keep_the_processor_busy(site):
    process = site.start_process({"COMMANDS": 40_000})
    process.call(*GET)
    guard = process.guard
    assert guard._claim_reservation()  # another caller's, which has no reply yet
    plan = guard.reserve(Batch((GET,)), 200)
    pauses = [next(plan).seconds, *(plan.send(None).seconds for _ in range(30))]
    assert pauses == sorted(pauses)
    assert 1 < sum(pauses) < 2


def test_free_commands_cost_nothing(site):
    process = site.start_process({"COMMANDS": 40_000})
    process.send(("PING",))
    assert site.server.sent == [("PING",)]


def test_a_reservation_of_last_month_does_not_count_for_this_one(site):
    process = site.start_process({"COMMANDS": 1000})
    process.call(*GET)
    wanted = process.guard._plan_reservation(1)
    site.clock.now = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
    process.guard.refresh()
    assert not process.guard._accept(wanted, 999, 1)
    assert process.guard.status is None
    assert is_sent(site, process, *GET)


def test_the_counter_begins_with_what_was_sent_before(site):
    process = site.start_process({"COMMANDS": 1000})
    process.source = FakeSource()
    process.source.month = 990
    process.call(*GET)
    assert process.stage == "essential"
    assert site.read_counter() == 991


def test_a_write_costs_more_with_read_regions(site):
    process = site.start_process({"COMMANDS": 40_000})
    process.source = FakeSource()
    process.source.regions = 2
    process.call(*GET)
    before = process.guard.status.used
    process.send(GET, ("SET", "k", b"1"))
    assert process.guard.status.used == before + 4


def test_an_unknown_month_is_logged(site, caplog, monkeypatch):
    monkeypatch.setattr(observe, "_logged_at", {})
    process = site.start_process({"COMMANDS": 1000})
    process.source = FakeSource()
    process.source.month = QuotaExceeded("ERR no HGETALL")
    process.call(*GET)
    assert process.stage == "within"
    assert "the commands of this month are unknown, the budget begins now" in caplog.text


def test_the_beginning_is_repeated_if_it_failed(site):
    process = site.start_process({"COMMANDS": 1000})
    process.source = FakeSource()
    process.source.month = ConnectionFailed("x")
    process.call(*GET)
    process.source.month = 990
    process.call(*GET)
    assert site.read_counter() >= 990


def test_a_lost_counter_is_restored(site):
    process = site.start_process({"COMMANDS": 1000})
    call_until(process, "warn", *GET)
    site.server.call("DEL", KEY)
    call_until(process, "near", *GET)
    assert site.read_counter() >= 900


def test_without_the_database_only_what_is_reserved_is_sent(site):
    process = site.start_process({"COMMANDS": 40_000})
    process.call(*GET)
    site.server.outcomes = [None] * 99 + [ConnectionFailed(each) for each in "abc"]
    for _ in range(99):
        assert is_sent(site, process, *GET)
    for _ in range(3):
        assert not is_sent(site, process, *GET)
    assert process.policy.breaker.state == "open"


def test_a_process_counts_alone_if_the_counter_cannot_be_written(site, caplog, monkeypatch):
    monkeypatch.setattr(observe, "_logged_at", {})
    process = site.start_process({"COMMANDS": 100, **UNTIL_HARD})
    process.call(*GET)
    server, send = site.server, site.server.send

    def refuse(batch):
        if batch.commands[0][0] == "INCRBY":
            return [CapacityExceeded("ERR DB capacity quota exceeded")]
        return send(batch)

    server.send = refuse
    process = site.start_process({"COMMANDS": 100, **UNTIL_HARD})
    call_until(process, "local", *GET)
    assert 50 <= server.billed <= 110
    assert "the budget's counter cannot be written, each process counts alone" in caplog.text


def test_a_wrong_reply_is_a_failure_of_the_database(site):
    process = site.start_process({"COMMANDS": 100}, fallback=False)
    site.server.outcomes = [[b"OK"]]
    with pytest.raises(Unavailable, match="unexpected reply: INCRBY returned a bytes"):
        process.call(*GET)


def test_a_pipeline_counts_as_a_whole(site):
    process = site.start_process({"COMMANDS": 1000, **UNTIL_HARD})
    process.send(*[GET] * 500)
    assert process.guard.status.used >= 500
    site.server.sent.clear()
    process.send(*[GET] * 600)  # more than is left: the local store serves it
    assert site.server.sent == []
    assert process.stage == "within"
    process.send(*[GET] * 400)
    assert len(site.server.sent) > 400


def test_a_reservation_beyond_the_limit_is_granted_in_part(site):
    process = site.start_process({"COMMANDS": 40_000})
    process.call(*SESSION, needs_server=True)
    for _ in range(99):
        process.call(*SESSION, needs_server=True)
    site.server.call("INCRBY", KEY, 39_950 - site.read_counter())  # by another process
    site.server.sent.clear()
    with pytest.raises(BudgetExceeded):
        call_until(process, "", *SESSION, needs_server=True)
    assert site.server.sent.count(SESSION) == 49  # and the reservation


def test_the_credit_of_the_beginning_is_paid_back(site):
    process = site.start_process({"COMMANDS": 4_000}, rng=lambda: 0.99)
    with pytest.raises(BudgetExceeded):
        call_until(process, "", *SESSION, needs_server=True)
    assert 3_990 <= site.server.billed <= 4_001


def test_a_script_costs_what_it_ran(site):
    script = Script("return redis.call('GET', KEYS[1])" * 9, lambda *_: 1, lambda *_: 2)
    process = site.start_process({"COMMANDS": 40_000})
    process.call(*GET)
    before = process.guard.status.used
    process.call("EVAL", script, 1, "k")
    assert process.guard.status.used == before + 3


def test_many_short_processes_count_as_much_as_they_send():
    site, rng = Site(), random.Random(5).random
    for _ in range(2000):
        process = site.start_process({"COMMANDS": 1_000_000}, rng=rng)
        for _ in range(20):
            process.call(*GET)
    # The deviation is small compared with the budget, and does not grow with each process.
    assert site.read_counter() == pytest.approx(site.server.billed, abs=20_000)


@pytest.mark.parametrize("budget", [2_000, 20_000])
def test_tasks_of_four_processes_hold_the_budget(budget):
    site, rng = Site(), random.Random(7).random
    processes = [site.start_process({"COMMANDS": budget, **UNTIL_HARD}, rng=rng) for _ in range(4)]

    async def call_many(process):
        while process.stage != "local":
            await process.acall(*GET)

    async def call_all():
        await asyncio.gather(*[call_many(each) for each in processes * 8])

    asyncio.run(call_all())
    assert 0.98 * budget <= site.server.billed <= 1.01 * budget


def test_one_caller_reserves_and_the_others_wait_until_their_deadline():
    site, hold = Site("async"), asyncio.Event()
    send = site.server.asend

    async def send_later(batch):
        await hold.wait()
        return await send(batch)

    async def call_three_times():
        first, waiting = (asyncio.create_task(process.acall(*GET)) for _ in range(2))
        await asyncio.sleep(0)
        late = asyncio.create_task(process.acall(*SESSION, needs_server=True, deadline_s=0.2))
        await asyncio.sleep(0)
        site.clock.now += 0.2
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(late, 5)
        hold.set()
        await asyncio.wait_for(asyncio.gather(first, waiting), 5)

    site.server.asend = send_later
    process = site.start_process({"COMMANDS": 40_000})
    asyncio.run(call_three_times())
    reservations = [command for command in site.server.sent if command[0] == "INCRBY"]
    assert [count for _, _, count in reservations] == [1, 2, 101]


def test_the_counter_costs_a_thousandth_of_a_large_budget():
    site, batch = Site(), Batch((GET,), needs_server=True)
    guard = site.start_process({"COMMANDS": 1_000_000}).guard
    for _ in range(9_000):
        if not guard.take(100, needs_server=True):
            run(guard.reserve(batch, 100), Runner(site.server.send))
    while guard.stage != "local":
        run(guard.reserve(batch, 10), Runner(site.server.send))
    assert sum(command[0] == "INCRBY" for command in site.server.sent) <= 1000
