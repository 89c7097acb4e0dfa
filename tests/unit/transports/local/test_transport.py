"""The local transport as its callers see it; tests/contract compares its replies with Redis."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref

import pytest

from continuum_upstash.errors import NotSerializable, ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Script
from tests.unit.transports.local.local_store import Store


@pytest.fixture
def frequent_switches():
    """Make threads switch between any two steps, not every 5 ms."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_a_value_exists_until_the_clock_is_past_its_last_millisecond(call, clock):
    call("SET", "k", b"v", "PX", 1500)
    clock.ms += 1_500
    assert call("PTTL", "k") == 0
    assert call("GET", "k") == b"v"
    clock.ms += 1
    assert call("GET", "k") is None
    assert call("PTTL", "k") == -2


def test_a_value_that_expires_now_is_not_stored(call, clock):
    call("SET", "k", b"old")
    call("SET", "k", b"v", "PXAT", clock.ms)
    assert call("GET", "k") is None


@pytest.mark.parametrize("atomic", [True, False])
def test_every_batch_reads_the_clock(local, clock, atomic):
    local.send(Batch((("SET", "k", b"v", "PX", 10), ("PING",)), atomic=atomic))
    clock.ms += 11
    assert local.send(Batch((("GET", "k"), ("EXISTS", "k")), atomic=atomic)) == [None, 0]


def test_setting_the_clock_back_delays_the_expiry_as_on_a_server(call, clock):
    call("SET", "k", b"v", "EX", 10)
    clock.ms -= 60_000
    assert call("TTL", "k") == 70


def test_ttl_is_rounded_to_the_nearest_second(call, clock):
    call("SET", "k", b"v", "PX", 10_000)
    clock.ms += 499
    assert call("TTL", "k") == 10
    clock.ms += 2
    assert call("TTL", "k") == 9


@pytest.mark.parametrize("value", [b"", b"\x00\xff", b"text", b"12"])
def test_bytes_come_back_as_they_went_in(call, value):
    call("SET", "k", value)
    assert call("GET", "k") == value


def test_a_text_and_its_utf8_bytes_are_one_key(call):
    call("SET", "schlüssel", b"v")
    assert call("GET", "schlüssel".encode()) == b"v"


def test_an_int_is_stored_as_its_digits(call):
    call("SET", "k", -12)
    assert call("GET", "k") == b"-12"


def test_commands_and_options_are_case_insensitive(call):
    assert call("set", "k", b"v", "ex", 10) == b"OK"
    assert call("Get", "k") == b"v"


def test_an_error_is_returned_in_its_place_and_the_others_run(local):
    replies = local.send(Batch((("SET", "k", b"v"), ("INCR", "k"), ("SADD", "k", b"m"))))
    assert replies[0] == b"OK"
    assert [reply.code for reply in replies[1:]] == ["ERR", "WRONGTYPE"]


def test_an_unknown_command_is_named_without_its_arguments(call):
    reply = call("LPUSHX", "key-of-a-customer", b"secret")
    assert str(reply).startswith("ERR unknown command 'LPUSHX'")
    assert "customer" not in str(reply)


def test_an_atomic_batch_with_an_invalid_command_changes_nothing(local, call):
    with pytest.raises(ReplyError, match="wrong number of arguments for 'get'"):
        local.send(Batch((("SET", "k", b"v"), ("GET",)), atomic=True))
    assert call("GET", "k") is None


def test_an_error_within_an_atomic_batch_is_returned_in_its_place(local):
    replies = local.send(Batch((("SADD", "s", b"m"), ("INCR", "s"), ("EXISTS", "s")), atomic=True))
    assert [replies[0], replies[1].code, replies[2]] == [1, "WRONGTYPE", 1]


def test_a_batch_with_a_key_without_utf8_form_changes_nothing(local, call):
    with pytest.raises(NotSerializable, match="lone surrogate"):
        local.send(Batch((("SET", "k", b"v"), ("GET", "\ud800"))))
    assert call("EXISTS", "k") == 0


def test_a_float_is_no_valid_argument(call):
    with pytest.raises(TypeError, match="not float"):
        call("SET", "k", 1.5)


def test_an_error_that_is_kept_does_not_keep_the_store_alive():
    local = Store()
    error = local.call("SET", "k", b"v", "ODD")
    gone = weakref.ref(local)
    del local
    gc.collect()
    assert isinstance(error, ReplyError)
    assert gone() is None


def test_clear_deletes_all_keys(local, call):
    call("SET", "k", b"v", "EX", 10)
    call("SADD", "s", b"m")
    local.clear()
    assert local.count_keys() == 0
    assert "used_memory:0\r\n" in call("INFO").decode()


def test_close_keeps_the_data(local, call):
    call("SET", "k", b"v")
    local.close()
    assert call("GET", "k") == b"v"


async def test_sync_and_async_share_the_store(local, call):
    call("SET", "k", b"v")
    assert await local.asend(Batch((("GET", "k"), ("DEL", "k")))) == [b"v", 1]
    await local.aclose()
    assert call("GET", "k") is None


def test_no_increment_is_lost_among_threads(local, frequent_switches):
    def count():
        for _ in range(500):
            local.send(Batch((("INCR", "n"), ("INCR", "n"))))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert local.send(Batch((("GET", "n"),))) == [b"8000"]


def test_threads_never_see_part_of_a_batch(local, frequent_switches):
    torn = []
    done = threading.Event()

    def read_both():
        while not done.is_set():
            a, b = local.send(Batch((("GET", "a"), ("GET", "b"))))
            if a != b:
                torn.append((a, b))

    watcher = threading.Thread(target=read_both)
    watcher.start()
    for n in range(1000):
        local.send(Batch((("SET", "a", n), ("SET", "b", n)), atomic=True))
    done.set()
    watcher.join()
    assert not torn


async def test_one_store_serves_several_event_loops(local):
    async def count():
        for _ in range(200):
            await local.asend(Batch((("INCR", "n"),)))

    await asyncio.gather(count(), asyncio.to_thread(asyncio.run, count()))
    assert await local.asend(Batch((("GET", "n"),))) == [b"400"]


def test_a_batch_may_be_sent_while_another_one_runs_in_the_same_thread(local):
    """A signal handler does this; with a plain lock the thread would wait for itself."""

    def rule(_call, _keys, _args):
        return local.send(Batch((("PING",),)))

    assert local.send(Batch((("EVAL", Script("", rule), 0),))) == [[b"PONG"]]
