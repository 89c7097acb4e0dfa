from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from django.core.signals import request_finished, request_started

from continuum_upstash.errors import ConnectionFailed, ReplyError
from continuum_upstash.observe import CommandDetails, notify
from continuum_upstash.stats.counters import Counters
from continuum_upstash.stats.shared import writer
from continuum_upstash.stats.shared.writer import SharedWriter
from continuum_upstash.transports.service_errors import make_reply_error

BACKEND = "continuum_upstash.backend.CacheBackend"
NOON = 1_800_000_000.0 // 86400 * 86400 + 12 * 3600


class Database:
    """Raises the given errors, then replies with 1 to each command; records the batches."""

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


class Harness:
    """A writer with a clock of its own."""

    def __init__(self, *aliases):
        self.now, self.counters = 0.0, Counters()
        self.drawn = 0  # by a process with few commands; 0: it writes
        self.databases = [Database(alias) for alias in aliases or ("client",)]
        self.writer = SharedWriter(
            self.counters,
            lambda: self.databases,
            lambda: self.now,
            lambda: NOON + self.now,
            lambda bound: min(self.drawn, bound - 1),
        )

    def use(self, times=100, alias="client"):
        hit = CommandDetails(alias, "upstash-rest", (("GET", "k"),), [b"1"], 0.001, None)
        for _ in range(times):
            self.counters.count(hit)

    def write(self, **refused):
        """Write what is due; return its commands.

        Args:
            refused: error replies by command name.
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
def harness(settings):
    settings.CONTINUUM_STATS = {}
    return Harness()


def decode_hashes(commands):
    return {
        command[1].rpartition(":")[2]: json.loads(command[3])
        for command in commands
        if command[0] == "HSET"
    }


def test_one_command_writes_the_totals_of_a_minute_and_one_those_of_an_hour(harness):
    harness.use()
    commands = harness.write()
    names = [command[0] for command in commands]
    assert names == ["HSET", "HSET", "EXPIRE", "EXPIRE", "INCRBY"]
    assert commands[-1][1:] == ("stats:cache_hits", 100)
    assert {each["hits"] for each in decode_hashes(commands).values()} == {100}


def test_a_write_is_due_every_ten_seconds(harness):
    harness.use()
    harness.write()
    harness.use()
    harness.now = 9.9
    assert harness.writer.claim() is None
    harness.now = 10
    assert harness.writer.claim() is not None


@pytest.mark.parametrize(("calls", "is_due"), [(99, False), (100, True)])
def test_a_write_waits_for_enough_commands(calls, is_due, harness):
    harness.use(calls)  # five commands at 5 % of 100
    assert (harness.writer.claim() is not None) is is_due


def test_a_field_is_written_in_full_within_its_minute_and_hour(harness):
    harness.use()
    harness.write()
    harness.now = 10
    harness.use(60)
    second = harness.write()
    assert [command[0] for command in second] == ["HSET", "HSET", "INCRBY"]
    assert {each["hits"] for each in decode_hashes(second).values()} == {160}
    harness.now = 70
    harness.use()
    third = harness.write()
    minute, hour = (json.loads(command[3]) for command in third[:2])
    assert (minute["hits"], hour["hits"]) == (100, 260)


def test_a_new_hour_is_a_new_hash_that_expires(harness):
    harness.use()
    first = harness.write()
    harness.now = 3600
    harness.use()
    second = harness.write()
    assert first[0][1] != second[0][1]
    assert first[1][1] == second[1][1]
    assert [command[0] for command in second] == ["HSET", "HSET", "EXPIRE", "INCRBY"]


def test_a_failed_write_is_covered_by_the_next_one(harness):
    harness.use()
    (database,) = harness.databases
    database.errors = [ConnectionFailed("refused")]
    harness.writer.flush()
    harness.now = 10
    harness.writer.flush()
    failed, sent = database.batches
    assert decode_hashes(failed.commands) == decode_hashes(sent.commands)
    assert harness.overhead == 0


def test_the_cost_of_a_write_is_part_of_the_next_one(harness):
    harness.use()
    harness.write()
    harness.now = 10
    harness.use()
    assert {each["overhead"] for each in decode_hashes(harness.write()).values()} == {5}


def test_after_a_refusal_there_is_no_write_for_ten_minutes(harness):
    harness.use()
    write = harness.writer.claim()
    harness.writer.finish(write, [make_reply_error("NOPERM no writes")] * len(write.batch.commands))
    harness.now = 599
    assert harness.writer.claim() is None
    harness.now = 609
    assert harness.writer.claim() is not None


WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


@pytest.mark.parametrize(
    ("name", "error", "billed"),
    [("INCRBY", WRONG_TYPE, 5), ("INCRBY", "NOPERM no", 4), ("EXPIRE", "NOPERM no", 3)],
)
def test_a_refused_counter_or_expiry_is_not_sent_again(name, error, billed, harness, caplog):
    harness.use()
    harness.write(**{name: error})
    assert harness.overhead == billed
    for harness.now in (10, 20):
        harness.use()
        commands = harness.write()
        assert name not in [command[0] for command in commands]
    assert {each["hits"] for each in decode_hashes(commands).values()} == {300}
    assert len(caplog.records) == 1


def test_a_temporarily_refused_expiry_is_set_later(harness):
    harness.use()
    harness.write(EXPIRE="ERR max requests limit exceeded. Limit: 500000", INCRBY=WRONG_TYPE)
    for harness.now, expected in ((10, 2), (20, 0)):
        harness.use()
        assert [command[0] for command in harness.write()].count("EXPIRE") == expected


def test_a_refused_hash_is_written_in_full_the_next_time(harness):
    harness.use()
    write = harness.writer.claim()
    count = len(write.batch.commands)
    harness.writer.finish(write, [make_reply_error(WRONG_TYPE), *[1] * (count - 1)])
    harness.use()
    harness.now = 599
    assert harness.writer.claim() is None
    harness.now = 609
    minute, hour = decode_hashes(harness.write()).values()
    assert (minute["hits"], hour["hits"]) == (100, 200)


@pytest.mark.parametrize("wrong", [{"INTERVAL": "10"}, {"SHARE": "5%"}, {"SHARE": 0}])
def test_a_wrong_setting_fails_once_per_ten_minutes(wrong, harness, settings):
    settings.CONTINUUM_STATS = wrong
    harness.use()
    for begin in (0, 600):
        harness.now = begin
        with pytest.raises((TypeError, ZeroDivisionError)):
            harness.writer.claim()
        harness.now = begin + 599
        assert harness.writer.claim() is None


def reject_other_keys(key, prefix, version):
    if not key.startswith("app/"):
        raise ValueError("keys begin with app/")
    return f"{prefix}:{version}:{key}"


def test_a_key_function_that_rejects_the_counters_affects_nothing_else(harness, settings, caplog):
    local = {"BACKEND": BACKEND, "OPTIONS": {"MODE": "local"}}
    settings.CACHES = {"default": local, "client": {**local, "KEY_FUNCTION": reject_other_keys}}
    for harness.now in (0, 10):
        harness.use()
        commands = harness.write()
        assert {each["hits"] for each in decode_hashes(commands).values()} == {
            harness.now * 10 + 100
        }
        assert "INCRBY" not in [command[0] for command in commands]
    assert len(caplog.records) == 1


def test_each_process_has_separate_fields(harness):
    harness.use()
    other = Harness()
    other.use()
    mine, others = harness.write(), other.write()
    assert mine[0][1] == others[0][1]
    assert mine[0][2] != others[0][2]


def test_a_write_covers_the_alias_that_has_waited_longest(settings):
    settings.CONTINUUM_STATS = {}
    harness = Harness("a", "b")
    for harness.now in (0, 10, 20, 30):
        for alias in ("a", "b"):
            harness.use(alias=alias)
        harness.writer.flush()
    assert [len(database.batches) for database in harness.databases] == [2, 2]
    assert decode_hashes(harness.databases[1].batches[-1].commands).popitem()[1]["hits"] == 400


def test_an_alias_whose_writes_fail_does_not_block_the_others(settings):
    settings.CONTINUUM_STATS = {}
    harness = Harness("a", "b")
    harness.databases[0].errors = [ReplyError("NOPERM")] * 9
    for harness.now in (0, 10, 20, 30):
        for alias in ("a", "b"):
            harness.use(alias=alias)
        harness.writer.flush()
    assert [len(database.batches) for database in harness.databases] == [2, 2]


@pytest.mark.parametrize("obstacle", ["open", "local"])
def test_there_is_no_write_in_local_mode_or_while_the_breaker_is_open(obstacle, harness):
    (database,) = harness.databases
    if obstacle == "open":
        database.status.state = "open"
    else:
        database.config.mode = "local"
    harness.use()
    assert harness.writer.claim() is None


def test_only_one_write_is_in_progress(harness):
    harness.use()
    write = harness.writer.claim()
    harness.use()
    harness.now = 300
    assert harness.writer.claim() is None
    harness.writer.finish(write, [1] * len(write.batch.commands))
    harness.now = 310
    assert decode_hashes(harness.write()).popitem()[1]["hits"] == 200


def test_at_exit_every_alias_with_enough_commands_is_written(settings):
    settings.CONTINUUM_STATS = {}
    harness = Harness("a", "b", "c")
    harness.use(alias="a")
    harness.writer.flush()
    harness.drawn = 1
    for alias, times in (("a", 100), ("b", 100), ("c", 39)):
        harness.use(times, alias)
    harness.writer.flush_all()
    assert [len(database.batches) for database in harness.databases] == [2, 1, 0]


def read_hour(batch):
    """Return what a batch writes about an hour."""
    return json.loads([each for each in batch.commands if each[0] == "HSET"][-1][3])


def test_a_process_that_lives_for_seconds_writes_what_it_counted(harness):
    harness.use(1)
    harness.writer.flush()
    harness.now = 1
    harness.use(20_000)
    harness.writer.flush()
    (batch,) = harness.databases[0].batches
    assert read_hour(batch)["billed"] == 20_001


def test_at_exit_a_process_with_few_commands_writes_its_hour(harness):
    harness.use(40)
    harness.writer.flush_all()
    (batch,) = harness.databases[0].batches
    assert [command[0] for command in batch.commands] == ["HSET", "EXPIRE"]
    assert read_hour(batch) | {"seconds": 0} == {
        "batches": 40, "commands": {"GET": 40}, "hits": 40, "bytes_out": 40, "bytes_in": 40,
        "billed": 40, "overhead": 2, "seconds": 0, "latency": [0, 0, 0, 40, *[0] * 11],
    }  # fmt: skip


@pytest.mark.parametrize(("times", "weight"), [(39, 2), (20, 2), (10, 4), (3, 14), (1, 40)])
def test_processes_with_very_few_commands_are_sampled_at_exit(times, weight):
    written = []
    for drawn in range(weight):
        harness = Harness()
        harness.drawn = drawn
        harness.use(times)
        harness.writer.flush_all()
        written += harness.databases[0].batches
    (batch,) = written
    assert read_hour(batch)["billed"] == times * weight


def test_a_process_that_was_not_drawn_is_not_drawn_again(harness):
    harness.drawn = 1
    harness.use(10)
    harness.writer.flush_all()
    harness.drawn = 0
    harness.use(10)
    harness.writer.flush_all()
    (batch,) = harness.databases[0].batches
    assert read_hour(batch)["billed"] == 40


def test_a_process_without_commands_writes_nothing_at_exit(harness):
    harness.writer.flush_all()
    assert harness.databases[0].batches == []


def test_the_last_totals_contain_their_own_cost_and_are_written_once(harness):
    harness.use()
    harness.writer.flush_all()
    harness.writer.flush_all()
    (batch,) = harness.databases[0].batches
    assert read_hour(batch)["overhead"] == len(batch.commands) == 5


def test_at_exit_no_write_begins_after_some_seconds(settings):
    settings.CONTINUUM_STATS = {}
    harness = Harness("a", "b", "c")
    for database in harness.databases:
        harness.use(alias=database.config.alias)
        database.send = lambda batch, send=database.send: pass_seconds(harness, 3) or send(batch)
    harness.writer.flush_all()
    assert [len(database.batches) for database in harness.databases] == [1, 1, 0]


def pass_seconds(harness, seconds):
    harness.now += seconds


# ---- when it is called


@pytest.fixture
def started(settings, monkeypatch, new_process_state, request_signals):
    """A started writer."""
    settings.CONTINUUM_STATS = {"INTERVAL": 0}
    harness = Harness()
    monkeypatch.setattr(writer, "get_process_state", lambda _: harness.writer)
    writer.start()
    yield harness
    writer.stop()


def notify_hit():
    notify(CommandDetails("client", "upstash-rest", (("GET", "k"),), [b"1"], 0.001, None))


def test_a_process_that_serves_requests_writes_after_a_response_only(started):
    request_started.send(None)
    started.use()
    notify_hit()
    (database,) = started.databases
    assert database.batches == []
    request_finished.send(None)
    assert len(database.batches) == 1


def test_a_process_without_requests_writes_after_a_command(started):
    started.use()
    notify_hit()
    (database,) = started.databases
    assert len(database.batches) == 1


async def test_in_an_event_loop_a_task_writes(started):
    started.use()
    notify_hit()
    (database,) = started.databases
    assert database.batches == []
    notify_hit()  # no second write while one is in progress
    await asyncio.sleep(0.01)
    assert len(database.batches) == 1
    started.use()
    notify_hit()
    await asyncio.sleep(0.01)
    assert len(database.batches) == 2


def test_an_error_in_the_statistics_does_not_reach_the_site(started, settings, caplog):
    settings.CONTINUUM_STATS = {"INTERVAL": "10"}
    started.use()
    request_finished.send(None)
    assert [record.exc_info[0] for record in caplog.records] == [TypeError]
