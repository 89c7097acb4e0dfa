from __future__ import annotations

import json

import pytest

from continuum_upstash.errors import from_reply
from continuum_upstash.observe import CommandDetails, subscribe, unsubscribe
from continuum_upstash.stats.counters import Counters
from continuum_upstash.stats.shared.writer import Shared

BACKEND = "continuum_upstash.backend.CacheBackend"
NOON = 1_800_000_000.0 // 86400 * 86400 + 12 * 3600


class Bench:
    """Sums of a process whose time is told by the test."""

    def __init__(self):
        self.now, self.counters = 0.0, Counters()
        self.shared = Shared(self.counters, lambda: self.now, lambda: NOON + self.now)

    def use(self, times=100):
        hit = CommandDetails("client", "upstash-rest", (("GET", "k"),), [b"1"], 0.001, None)
        for _ in range(times):
            self.counters(hit)

    def offered(self):
        return self.shared.offer("client", "upstash-rest")

    def delivered(self, **refused):
        """Deliver a load; return its commands.

        Args:
            refused: names of commands, and the errors that they are answered with.
        """
        load = self.offered()
        load.delivered([from_reply(refused[c[0]]) if c[0] in refused else 1 for c in load.commands])
        return load.commands

    @property
    def overhead(self):
        return self.counters.read("client")["upstash-rest"].overhead


@pytest.fixture
def bench(settings):
    settings.CONTINUUM_STATS = {}
    bench = Bench()
    subscribe(bench.counters)
    yield bench
    unsubscribe(bench.counters)


def hashes(commands):
    return {
        command[1].rpartition(":")[2]: json.loads(command[3])
        for command in commands
        if command[0] == "HSET"
    }


def test_one_command_carries_all_sums_of_a_minute_and_one_those_of_an_hour(bench):
    bench.use()
    commands = bench.delivered()
    names = [command[0] for command in commands]
    assert names == ["HSET", "HSET", "EXPIRE", "EXPIRE", "INCRBY"]
    assert commands[-1][1:] == ("stats:cache_hits", 100)
    assert {each["hits"] for each in hashes(commands).values()} == {100}


def test_not_more_often_than_every_ten_seconds(bench):
    bench.use()
    bench.delivered()
    bench.use()
    bench.now = 9.9
    assert bench.offered() is None
    bench.now = 10
    assert bench.offered() is not None


@pytest.mark.parametrize(("calls", "offered"), [(99, False), (100, True)])
def test_only_when_the_commands_since_pay_for_it(calls, offered, bench):
    bench.use(calls)  # five commands, of which each is a twentieth of 100
    assert (bench.offered() is not None) is offered


def test_a_part_is_written_as_a_whole_within_its_minute_and_hour(bench):
    bench.use()
    bench.delivered()
    bench.now = 10
    bench.use(60)
    second = bench.delivered()
    assert [command[0] for command in second] == ["HSET", "HSET", "INCRBY"]
    assert {each["hits"] for each in hashes(second).values()} == {160}
    bench.now = 70
    bench.use()
    third = bench.delivered()
    minute, hour = (json.loads(command[3]) for command in third[:2])
    assert (minute["hits"], hour["hits"]) == (100, 260)


def test_a_new_hour_is_a_new_hash_that_expires(bench):
    bench.use()
    first = bench.delivered()
    bench.now = 3600
    bench.use()
    second = bench.delivered()
    assert first[0][1] != second[0][1]
    assert first[1][1] == second[1][1]
    assert [command[0] for command in second] == ["HSET", "HSET", "EXPIRE", "INCRBY"]


def test_what_was_not_delivered_is_offered_again(bench):
    bench.use()
    lost = bench.offered()
    bench.now = 10
    assert hashes(bench.offered().commands) == hashes(lost.commands)
    assert bench.overhead == 0


def test_their_own_cost_is_counted_and_told_with_the_next_write(bench):
    bench.use()
    bench.delivered()
    bench.now = 10
    bench.use()
    assert {each["overhead"] for each in hashes(bench.delivered()).values()} == {5}


def test_a_refusal_means_silence_for_ten_minutes(bench):
    bench.use()
    load = bench.offered()
    load.delivered([from_reply("NOPERM no writes")] * len(load.commands))
    bench.now = 599
    assert bench.offered() is None
    bench.now = 600
    assert bench.offered() is not None


WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


@pytest.mark.parametrize(
    ("name", "error", "billed"),
    [("INCRBY", WRONG_TYPE, 5), ("INCRBY", "NOPERM no", 4), ("EXPIRE", "NOPERM no", 3)],
)
def test_what_is_refused_beside_the_sums_is_not_sent_again(name, error, billed, bench, caplog):
    bench.use()
    bench.delivered(**{name: error})
    assert bench.overhead == billed
    for bench.now in (10, 20):
        bench.use()
        commands = bench.delivered()
        assert name not in [command[0] for command in commands]
    assert {each["hits"] for each in hashes(commands).values()} == {300}
    assert len(caplog.records) == 1


def test_a_time_to_live_that_is_refused_for_a_while_is_set_later(bench):
    bench.use()
    bench.delivered(EXPIRE="ERR max requests limit exceeded. Limit: 500000", INCRBY=WRONG_TYPE)
    for bench.now, expected in ((10, 2), (20, 0)):
        bench.use()
        assert [command[0] for command in bench.delivered()].count("EXPIRE") == expected


def test_a_half_that_was_refused_is_written_as_a_whole_the_next_time(bench):
    bench.use()
    load = bench.offered()
    load.delivered([from_reply(WRONG_TYPE), *[1] * (len(load.commands) - 1)])
    bench.use()
    bench.now = 599
    assert bench.offered() is None
    bench.now = 600
    minute, hour = hashes(bench.delivered()).values()
    assert (minute["hits"], hour["hits"]) == (100, 200)


@pytest.mark.parametrize("wrong", [{"INTERVAL": "10"}, {"SHARE": "5%"}, {"SHARE": 0}])
def test_a_wrong_setting_fails_once_in_ten_minutes(wrong, bench, settings):
    settings.CONTINUUM_STATS = wrong
    bench.use()
    for begin in (0, 600):
        bench.now = begin
        with pytest.raises((TypeError, ZeroDivisionError)):
            bench.offered()
        bench.now = begin + 599
        assert bench.offered() is None


def only_its_own(key, prefix, version):
    if not key.startswith("app/"):
        raise ValueError("keys begin with app/")
    return f"{prefix}:{version}:{key}"


def test_a_key_function_that_refuses_the_counters_loses_nothing_else(bench, settings, caplog):
    local = {"BACKEND": BACKEND, "OPTIONS": {"MODE": "local"}}
    settings.CACHES = {"default": local, "client": {**local, "KEY_FUNCTION": only_its_own}}
    for bench.now in (0, 10):
        bench.use()
        commands = bench.delivered()
        assert {each["hits"] for each in hashes(commands).values()} == {bench.now * 10 + 100}
        assert "INCRBY" not in [command[0] for command in commands]
    assert len(caplog.records) == 1


def test_a_forked_child_writes_its_own_fields_and_nothing_of_its_parents(bench):
    bench.use()
    parents = bench.delivered()
    bench.counters.forget()
    bench.shared.forget()
    assert bench.offered() is None
    bench.now = 10
    bench.use()
    childs = bench.delivered()
    assert parents[0][1] == childs[0][1]
    assert parents[0][2] != childs[0][2]
