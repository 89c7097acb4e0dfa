from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from django.core.signals import request_finished, request_started

from continuum_upstash.errors import ConnectionFailed, make_reply_error
from continuum_upstash.observe import CommandDetails, notify
from continuum_upstash.stats.counters import Counters
from continuum_upstash.stats.shared import writer
from continuum_upstash.stats.shared.writer import SharedWriter

BACKEND = "continuum_upstash.backend.CacheBackend"
NOON = 1_800_000_000.0 // 86400 * 86400 + 12 * 3600


class Database:
    """Answers each command with 1, after the errors that it is to raise; keeps the batches."""

    def __init__(self, alias="client", counters=None):
        self.config = SimpleNamespace(alias=alias, mode="rest")
        self.status = SimpleNamespace(state="closed")
        self.counters, self.errors, self.batches = counters, [], []

    def send(self, batch):
        self.batches.append(batch)
        if self.errors:
            raise self.errors.pop(0)
        replies = [1] * len(batch.commands)
        details = CommandDetails(
            self.config.alias, "upstash-rest", batch.commands, replies, 0.001, None
        )
        notify(details)
        return replies

    async def asend(self, batch):
        await asyncio.sleep(0)
        return self.send(batch)


class Bench:
    """Totals of a process whose time is told by the test."""

    def __init__(self, *aliases):
        self.now, self.counters = 0.0, Counters()
        self.databases = [Database(alias) for alias in aliases or ("client",)]
        self.writer = SharedWriter(
            self.counters, lambda: self.databases, lambda: self.now, lambda: NOON + self.now
        )

    def use(self, times=100, alias="client"):
        hit = CommandDetails(alias, "upstash-rest", (("GET", "k"),), [b"1"], 0.001, None)
        for _ in range(times):
            self.counters.count(hit)

    def written(self, **refused):
        """Write what is due; return its commands.

        Args:
            refused: names of commands, and the errors that they are answered with.
        """
        write = self.writer.claim()
        commands = write.batch.commands
        replies = [make_reply_error(refused[c[0]]) if c[0] in refused else 1 for c in commands]
        self.counters.count(
            CommandDetails("client", "upstash-rest", commands, replies, 0.001, None)
        )
        self.writer.finish(write, replies)
        return commands

    @property
    def overhead(self):
        return self.counters.read("client")["upstash-rest"].overhead


@pytest.fixture
def bench(settings):
    settings.CONTINUUM_STATS = {}
    return Bench()


def hashes(commands):
    return {
        command[1].rpartition(":")[2]: json.loads(command[3])
        for command in commands
        if command[0] == "HSET"
    }


def test_one_command_carries_all_sums_of_a_minute_and_one_those_of_an_hour(bench):
    bench.use()
    commands = bench.written()
    names = [command[0] for command in commands]
    assert names == ["HSET", "HSET", "EXPIRE", "EXPIRE", "INCRBY"]
    assert commands[-1][1:] == ("stats:cache_hits", 100)
    assert {each["hits"] for each in hashes(commands).values()} == {100}


def test_not_more_often_than_every_ten_seconds(bench):
    bench.use()
    bench.written()
    bench.use()
    bench.now = 9.9
    assert bench.writer.claim() is None
    bench.now = 10
    assert bench.writer.claim() is not None


@pytest.mark.parametrize(("calls", "paid"), [(99, False), (100, True)])
def test_only_when_the_commands_since_pay_for_it(calls, paid, bench):
    bench.use(calls)  # five commands, of which each is a twentieth of 100
    assert (bench.writer.claim() is not None) is paid


def test_a_part_is_written_as_a_whole_within_its_minute_and_hour(bench):
    bench.use()
    bench.written()
    bench.now = 10
    bench.use(60)
    second = bench.written()
    assert [command[0] for command in second] == ["HSET", "HSET", "INCRBY"]
    assert {each["hits"] for each in hashes(second).values()} == {160}
    bench.now = 70
    bench.use()
    third = bench.written()
    minute, hour = (json.loads(command[3]) for command in third[:2])
    assert (minute["hits"], hour["hits"]) == (100, 260)


def test_a_new_hour_is_a_new_hash_that_expires(bench):
    bench.use()
    first = bench.written()
    bench.now = 3600
    bench.use()
    second = bench.written()
    assert first[0][1] != second[0][1]
    assert first[1][1] == second[1][1]
    assert [command[0] for command in second] == ["HSET", "HSET", "EXPIRE", "INCRBY"]


def test_what_could_not_be_written_is_written_the_next_time(bench):
    bench.use()
    (database,) = bench.databases
    database.errors = [ConnectionFailed("refused")]
    bench.writer.flush()
    bench.now = 10
    bench.writer.flush()
    failed, sent = database.batches
    assert hashes(failed.commands) == hashes(sent.commands)
    assert bench.overhead == 0


def test_their_own_cost_is_counted_and_told_with_the_next_write(bench):
    bench.use()
    bench.written()
    bench.now = 10
    bench.use()
    assert {each["overhead"] for each in hashes(bench.written()).values()} == {5}


def test_a_refusal_means_silence_for_ten_minutes(bench):
    bench.use()
    write = bench.writer.claim()
    bench.writer.finish(write, [make_reply_error("NOPERM no writes")] * len(write.batch.commands))
    bench.now = 599
    assert bench.writer.claim() is None
    bench.now = 609
    assert bench.writer.claim() is not None


WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


@pytest.mark.parametrize(
    ("name", "error", "billed"),
    [("INCRBY", WRONG_TYPE, 5), ("INCRBY", "NOPERM no", 4), ("EXPIRE", "NOPERM no", 3)],
)
def test_what_is_refused_beside_the_sums_is_not_sent_again(name, error, billed, bench, caplog):
    bench.use()
    bench.written(**{name: error})
    assert bench.overhead == billed
    for bench.now in (10, 20):
        bench.use()
        commands = bench.written()
        assert name not in [command[0] for command in commands]
    assert {each["hits"] for each in hashes(commands).values()} == {300}
    assert len(caplog.records) == 1


def test_a_time_to_live_that_is_refused_for_a_while_is_set_later(bench):
    bench.use()
    bench.written(EXPIRE="ERR max requests limit exceeded. Limit: 500000", INCRBY=WRONG_TYPE)
    for bench.now, expected in ((10, 2), (20, 0)):
        bench.use()
        assert [command[0] for command in bench.written()].count("EXPIRE") == expected


def test_a_half_that_was_refused_is_written_as_a_whole_the_next_time(bench):
    bench.use()
    write = bench.writer.claim()
    count = len(write.batch.commands)
    bench.writer.finish(write, [make_reply_error(WRONG_TYPE), *[1] * (count - 1)])
    bench.use()
    bench.now = 599
    assert bench.writer.claim() is None
    bench.now = 609
    minute, hour = hashes(bench.written()).values()
    assert (minute["hits"], hour["hits"]) == (100, 200)


@pytest.mark.parametrize("wrong", [{"INTERVAL": "10"}, {"SHARE": "5%"}, {"SHARE": 0}])
def test_a_wrong_setting_fails_once_in_ten_minutes(wrong, bench, settings):
    settings.CONTINUUM_STATS = wrong
    bench.use()
    for begin in (0, 600):
        bench.now = begin
        with pytest.raises((TypeError, ZeroDivisionError)):
            bench.writer.claim()
        bench.now = begin + 599
        assert bench.writer.claim() is None


def only_its_own(key, prefix, version):
    if not key.startswith("app/"):
        raise ValueError("keys begin with app/")
    return f"{prefix}:{version}:{key}"


def test_a_key_function_that_refuses_the_counters_loses_nothing_else(bench, settings, caplog):
    local = {"BACKEND": BACKEND, "OPTIONS": {"MODE": "local"}}
    settings.CACHES = {"default": local, "client": {**local, "KEY_FUNCTION": only_its_own}}
    for bench.now in (0, 10):
        bench.use()
        commands = bench.written()
        assert {each["hits"] for each in hashes(commands).values()} == {bench.now * 10 + 100}
        assert "INCRBY" not in [command[0] for command in commands]
    assert len(caplog.records) == 1


def test_each_process_has_fields_of_its_own(bench):
    bench.use()
    other = Bench()
    other.use()
    mine, others = bench.written(), other.written()
    assert mine[0][1] == others[0][1]
    assert mine[0][2] != others[0][2]


def test_one_alias_at_a_time_the_one_that_has_waited_longest(settings):
    settings.CONTINUUM_STATS = {}
    bench = Bench("a", "b")
    for bench.now in (0, 10, 20, 30):
        for alias in ("a", "b"):
            bench.use(alias=alias)
        bench.writer.flush()
    assert [len(database.batches) for database in bench.databases] == [2, 2]
    assert hashes(bench.databases[1].batches[-1].commands).popitem()[1]["hits"] == 400


@pytest.mark.parametrize("hindrance", ["open", "local"])
def test_a_database_that_is_not_asked_is_not_written_to(hindrance, bench):
    (database,) = bench.databases
    if hindrance == "open":
        database.status.state = "open"
    else:
        database.config.mode = "local"
    bench.use()
    assert bench.writer.claim() is None


def test_no_two_writes_are_in_progress(bench):
    bench.use()
    write = bench.writer.claim()
    bench.use()
    bench.now = 300
    assert bench.writer.claim() is None
    bench.writer.finish(write, [1] * len(write.batch.commands))
    bench.now = 310
    assert hashes(bench.written()).popitem()[1]["hits"] == 200


def test_at_the_end_everything_is_written_that_is_paid_for(settings):
    settings.CONTINUUM_STATS = {}
    bench = Bench("a", "b", "c")
    bench.use(alias="a")
    bench.writer.flush()
    for alias, times in (("a", 100), ("b", 100), ("c", 99)):
        bench.use(times, alias)
    bench.writer.flush_all()
    assert [len(database.batches) for database in bench.databases] == [2, 1, 0]


# ---- when it is called


@pytest.fixture
def started(settings, monkeypatch, new_process_state, request_signals):
    """A writer as the app starts it, and what it writes to."""
    settings.CONTINUUM_STATS = {"INTERVAL": 0}
    bench = Bench()
    monkeypatch.setattr(writer, "get_process_state", lambda _: bench.writer)
    writer.start()
    yield bench
    writer.stop()


def answered():
    notify(CommandDetails("client", "upstash-rest", (("GET", "k"),), [b"1"], 0.001, None))


def test_a_process_that_serves_requests_writes_after_a_response_only(started):
    request_started.send(None)
    started.use()
    answered()
    (database,) = started.databases
    assert database.batches == []
    request_finished.send(None)
    assert len(database.batches) == 1


def test_a_process_without_requests_writes_after_a_command(started):
    started.use()
    answered()
    (database,) = started.databases
    assert len(database.batches) == 1


async def test_in_an_event_loop_a_task_writes(started):
    started.use()
    answered()
    (database,) = started.databases
    assert database.batches == []
    answered()  # no second write while there is one
    await asyncio.sleep(0.01)
    assert len(database.batches) == 1
    started.use()
    answered()
    await asyncio.sleep(0.01)
    assert len(database.batches) == 2


def test_an_error_in_the_statistics_does_not_reach_the_site(started, settings, caplog):
    settings.CONTINUUM_STATS = {"INTERVAL": "10"}
    started.use()
    request_finished.send(None)
    assert [record.exc_info[0] for record in caplog.records] == [TypeError]
