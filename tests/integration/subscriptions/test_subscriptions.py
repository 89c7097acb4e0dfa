"""Subscriptions over REST and TCP, sync and async, on a connection of their own."""

import asyncio
import re
import threading

import pytest

from continuum_upstash.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ContinuumError,
)
from continuum_upstash.observe import CommandDetails, subscribe, unsubscribe
from continuum_upstash.transports.subscriptions import async_subscription
from tests.waiting import wait_until


@pytest.fixture(params=["rest", "tcp"])
def transport(request):
    return request.param


@pytest.fixture
def cache(make_cache, transport):
    return make_cache(transport)


@pytest.fixture
def publish(cache):
    raw = cache.client.get_client()
    return lambda channel, data: raw.execute_command("PUBLISH", channel, data)


class AnySubscription:
    """A sync subscription, or an async one driven by a runner."""

    def __init__(self, database, api, runner):
        self._database, self._runner = database, runner if api == "async" else None

    def open(self, *channels):
        if self._runner is None:
            self.subscription = self._database.subscribe(*channels)
        else:
            self.subscription = self._runner.run(self._database.asubscribe(*channels))
        return self

    def receive(self, timeout=10.0):
        received = self.subscription.receive(timeout)
        return received if self._runner is None else self._runner.run(received)

    def close(self):
        self.subscription.close()
        if self._runner is not None:
            self._runner.run(asyncio.sleep(0))


@pytest.fixture
def subscription(cache, api, runner):
    opened = AnySubscription(cache.database, api, runner)
    yield opened
    if hasattr(opened, "subscription"):
        opened.close()


def test_the_messages_of_several_channels_arrive(subscription, publish):
    subscription.open("room 1", "é")
    assert subscription.receive(0) is None
    assert subscription.receive(0.01) is None
    publish("room 1", "one,\ntwo")
    assert subscription.receive() == ("room 1", b"one,\ntwo")
    publish("other", "x")
    publish("é", '{"a": "ü"}')
    assert subscription.receive() == ("é", '{"a": "ü"}'.encode())


def test_large_and_many_messages_arrive_in_order(subscription, publish):
    subscription.open("c")
    publish("c", "x" * 500_000)
    for number in range(50):
        publish("c", str(number))
    assert len(subscription.receive().data) == 500_000
    assert [subscription.receive().data for _ in range(50)] == [b"%d" % n for n in range(50)]


def test_a_lost_connection_is_an_error(subscription, emulator):
    subscription.open("c")
    with emulator.fault("refuse", side="both"), pytest.raises(ConnectionFailed):
        subscription.receive()


def test_a_wrong_token_is_an_error(make_cache, transport, emulator, api, runner):
    location = (
        emulator.rest_url
        if transport == "rest"
        else emulator.redis_url.replace(emulator.token, "wrong")
    )
    options = {"TOKEN": "wrong"} if transport == "rest" else {}
    cache = make_cache("local")
    cache = type(cache)(location, {"OPTIONS": options})
    with pytest.raises(AuthenticationFailed):
        AnySubscription(cache.database, api, runner).open("c")


def test_a_token_that_was_replaced_is_read_again(make_cache, transport, emulator, api, runner):
    tokens = ["an-old-token", emulator.token]
    url = re.sub("//.*@", "//", emulator.redis_url)
    location = emulator.rest_url if transport == "rest" else url
    cache = type(make_cache("local"))(
        location, {"OPTIONS": {"TOKEN": lambda: tokens.pop(0) if len(tokens) > 1 else tokens[0]}}
    )
    subscription = AnySubscription(cache.database, api, runner).open("c")
    assert subscription.receive(0) is None
    subscription.close()


def test_a_server_that_is_away_is_an_error(subscription, emulator):
    with emulator.fault("refuse", side="both"), pytest.raises(ContinuumError):
        subscription.open("c")


def test_it_is_billed_as_one_command_and_recorded(subscription, emulator, transport):
    records = []
    subscribe(records.append)
    try:
        with emulator.count() as usage:
            subscription.open("a", "b")
        assert usage.billed == 1
    finally:
        unsubscribe(records.append)
    [record] = [each for each in records if isinstance(each, CommandDetails)]
    assert record.commands == [("SUBSCRIBE", "a", "b")]
    assert record.backend == ("upstash-rest" if transport == "rest" else "upstash-redis")


def test_closing_from_another_thread_ends_the_iterator(cache, publish):
    with cache.database.subscribe("c") as subscription:
        received = []
        thread = threading.Thread(target=lambda: received.extend(subscription))
        thread.start()
        publish("c", "1")
        wait_until(lambda: received)
        subscription.close()
        thread.join(10)
        assert not thread.is_alive()
    assert received == [("c", b"1")]
    with pytest.raises(ConnectionFailed, match="closed by this process"):
        subscription.receive()


async def test_a_second_task_cannot_wait_for_messages(cache):
    async with await cache.database.asubscribe("c") as subscription:
        task = asyncio.create_task(subscription.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="Another task"):
            await subscription.receive(5)
        await asyncio.to_thread(cache.client.get_client().execute_command, "PUBLISH", "c", "1")
        assert (await task).data == b"1"
    await cache.database.aclose()


async def test_closing_from_another_task_ends_the_iterator(cache):
    async with await cache.database.asubscribe("c") as subscription:
        task = asyncio.create_task(_collect(subscription))
        await asyncio.sleep(0)
        await asyncio.to_thread(cache.client.get_client().execute_command, "PUBLISH", "c", "1")
        while not task.done():
            await asyncio.sleep(0.001)
            subscription.close()
    await task
    await cache.database.aclose()


async def _collect(subscription):
    return [message async for message in subscription]


def test_closing_unsubscribes(subscription, cache):
    raw = cache.client.get_client()
    subscription.open("c")
    assert raw.execute_command("PUBSUB", "NUMSUB", "c")[1] == 1
    subscription.close()
    wait_until(lambda: raw.execute_command("PUBSUB", "NUMSUB", "c")[1] == 0)


async def test_a_slow_reader_has_bounded_memory(cache, monkeypatch):
    monkeypatch.setattr(async_subscription, "_MAX_MESSAGES", 10)
    raw = cache.client.get_client()
    async with await cache.database.asubscribe("c") as subscription:
        for start in range(0, 120, 40):
            await asyncio.to_thread(_publish_many, raw, range(start, start + 40))
        assert len(subscription._messages) < 60
        received = [(await subscription.receive(10)).data for _ in range(120)]
    assert [int(data[-3:]) for data in received] == list(range(120))


def _publish_many(raw, numbers):
    for number in numbers:
        raw.execute_command("PUBLISH", "c", f"{number:010000}")  # asyncio reads 256 KB at once


def test_a_local_cache_has_no_subscriptions(make_cache):
    with pytest.raises(ConfigurationError, match="needs a database"):
        make_cache("local").database.subscribe("c")


def test_an_http_proxy_is_refused(make_cache, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    cache = type(make_cache("local"))("https://db.example.com", {"OPTIONS": {"TOKEN": "t"}})
    with pytest.raises(ConfigurationError, match="NO_PROXY"):
        cache.database.subscribe("c")
