"""Channels over REST and TCP, in threads and tasks."""

import asyncio
import gc
import json
import threading
from collections import deque

import pytest

from continuum_upstash.errors import BudgetExceeded, ConfigurationError, ReplyError
from continuum_upstash.federation import Channel
from continuum_upstash.federation.channels import hub
from continuum_upstash.federation.channels.events import Event
from continuum_upstash.federation.channels.hub import Hub
from continuum_upstash.federation.errors import EventsLost
from tests.waiting import wait_until

SECONDS = 10


def test_events_are_stored_and_announced_as_upstash_realtime_does(room, raw, federation):
    with federation.subscribe("room") as subscription:
        event_id = room.publish("chat.message", {"text": "ü"})
        message = subscription.receive(SECONDS)
    assert json.loads(message.data) == {
        "data": {"text": "ü"},
        "event": "chat.message",
        "channel": "room",
        "id": event_id,
    }
    [[stored_id, fields]] = raw("XRANGE", "room", "-", "+")
    assert stored_id.decode() == event_id
    assert fields == [
        *(b"data", '{"text":"ü"}'.encode(), b"event", b"chat.message", b"channel", b"room"),
    ]
    assert 300 < raw("TTL", "room") <= 360
    assert room.history() == [Event(event_id, "chat.message", {"text": "ü"}, "room")]


def test_what_publishing_is_billed(room, emulator):
    with emulator.count() as usage:
        room.publish("e", 1)
    assert usage.billed == 3
    with emulator.count() as usage:
        room.publish("e", 2)
    assert usage.billed == 2


def test_what_reading_is_billed(room, emulator):
    first = room.publish("e", 1)
    with room.subscribe() as subscription, emulator.count() as usage:
        assert subscription.receive(0.2) is None
    assert usage.billed <= 2
    with emulator.count() as usage:
        assert subscription.receive(0) is None
        with room.subscribe() as other, room.subscribe(since=first) as third:
            event_id = room.publish("e", 2)
            assert other.receive(SECONDS).id == event_id
            assert third.receive(SECONDS).id == event_id
    assert usage.billed == 2


def test_the_channels_without_readers_are_bounded(federation, monkeypatch):
    monkeypatch.setattr(hub, "MAX_LINGERING", 2)
    for number in range(5):
        with Channel(f"room{number}", using="federation").subscribe():
            pass
    feeds = federation.extras.get(Hub)._feeds
    wait_until(lambda: list(feeds) == ["room3", "room4"])


def test_the_length_of_a_stream_is_limited(federation, raw):
    channel = Channel("short", using="federation", max_length=3, expire_after=None)
    for number in range(5):
        channel.publish("e", number)
    assert raw("TTL", "short") == -1
    assert [event.data for event in channel.history()] == [2, 3, 4]
    assert [event.data for event in channel.history(limit=2)] == [3, 4]
    oldest = channel.history()[0]
    assert [event.data for event in channel.history(limit=1, since=oldest.id)] == [3]


def test_a_thread_receives_missed_and_live_events(room):
    first = room.publish("e", 0)
    room.publish("e", 1)
    with room.subscribe(since=first) as subscription:
        assert subscription.receive(SECONDS).data == 1
        room.publish("e", 2)
        assert subscription.receive(SECONDS).data == 2
        received = []
        thread = threading.Thread(target=lambda: received.extend(subscription))
        thread.start()
        room.publish("e", 3)
        wait_until(lambda: received)
        subscription.close()
        thread.join(SECONDS)
        assert not thread.is_alive()
    assert [event.data for event in received] == [3]
    assert subscription.receive() is None


async def test_tasks_receive_missed_and_live_events(room, federation):
    first = await room.apublish("e", 0)
    await room.apublish("e", 1)
    async with room.asubscribe(since=first) as subscription, room.asubscribe(since=0) as other:
        assert (await subscription.receive(SECONDS)).data == 1
        assert [(await other.receive(SECONDS)).data for _ in range(2)] == [0, 1]
        await room.apublish("e", 2)
        assert (await subscription.receive(SECONDS)).data == 2
        assert (await other.receive(SECONDS)).data == 2
        assert await subscription.receive(0.01) is None
        await room.apublish("e", 3)
        async for event in subscription:
            assert event.data == 3
            break
    assert len(await room.ahistory(since=first)) == 3
    await federation.aclose()


def test_a_lost_connection_loses_and_repeats_no_event(room, emulator):
    with room.subscribe() as subscription:
        published = [room.publish("e", number) for number in range(3)]
        received = [subscription.receive(SECONDS).id for _ in range(3)]
        with emulator.fault("refuse", side="both"):
            assert subscription.receive(0.05) is None
        published += [_publish_again(room, number) for number in range(3, 6)]
        received += [subscription.receive(SECONDS).id for _ in range(3)]
        assert received == published
        assert subscription.receive(0.05) is None


@pytest.mark.parametrize("transport", ["rest"])
def test_a_stream_that_was_trimmed_meanwhile_is_reported(federation, settings, emulator):
    settings.CACHES = settings.CACHES | {
        "other": {
            "BACKEND": "continuum_upstash.backend.CacheBackend",
            "LOCATION": emulator.redis_url,
        }
    }
    channel = Channel("short", max_length=3)
    with channel.subscribe() as subscription:
        channel.publish("e", 0)
        assert subscription.receive(SECONDS).data == 0
        with emulator.fault("refuse"):
            publisher = Channel("short", using="other", max_length=3)
            for number in range(1, 6):
                publisher.publish("e", number)
            assert subscription.receive(0.01) is None
        with pytest.raises(EventsLost):
            subscription.receive(SECONDS)
        assert [subscription.receive(SECONDS).data for _ in range(3)] == [3, 4, 5]


def test_a_silent_connection_is_replaced_without_a_gap(room, monkeypatch, emulator):
    monkeypatch.setattr("continuum_upstash.federation.channels.hub.MAX_SILENCE_SECONDS", 0.01)
    with room.subscribe() as subscription:
        for number in range(10):
            room.publish("e", number)
        billed = emulator.read_usage().billed
        # 2 commands for each new connection: the subscription and what was missed.
        wait_until(lambda: emulator.read_usage().billed >= billed + 2)
        for number in range(10, 20):
            room.publish("e", number)
        received = [subscription.receive(SECONDS).data for _ in range(20)]
        assert subscription.receive(0.03) is None
    assert received == list(range(20))


def _publish_again(room, number):
    ids = []

    def publish():
        try:
            ids.append(room.publish("e", number))
        except Exception:
            return False
        return True

    wait_until(publish)
    return ids[0]


def test_one_subscription_serves_all_readers_and_ends_after_them(
    room, federation, raw, monkeypatch
):
    monkeypatch.setattr("continuum_upstash.federation.channels.hub.LINGER_SECONDS", 0.0)
    readers = [room.subscribe() for _ in range(5)]
    for reader in readers:
        assert reader.receive(0.01) is None
    wait_until(lambda: raw("PUBSUB", "NUMSUB", "room")[1] == 1)
    for reader in readers[1:]:
        reader.close()
    iterator = iter(readers.pop(0))
    room.publish("e", 1)
    assert next(iterator).data == 1
    assert raw("PUBSUB", "NUMSUB", "room")[1] == 1
    del iterator, reader, readers  # not closed, but collected
    gc.collect()
    wait_until(lambda: raw("PUBSUB", "NUMSUB", "room")[1] == 0)
    hub = federation.extras.get(Hub)
    wait_until(lambda: hub._thread is None)


@pytest.mark.parametrize("transport", ["rest"])
def test_a_used_up_budget_ends_reading(federation, settings, emulator):
    entry = settings.CACHES["federation"]
    settings.CACHES = settings.CACHES | {
        "guarded": entry | {"OPTIONS": entry["OPTIONS"] | {"BUDGET": {"COMMANDS": 40}}}
    }
    channel = Channel("guarded", using="guarded")
    with channel.subscribe() as events:
        with pytest.raises(BudgetExceeded):
            deque(map(channel.publish, ["e"] * 40, range(40)))
        assert events.receive(SECONDS).data == 0
    with emulator.count() as usage, pytest.raises(BudgetExceeded):
        Channel("another", using="guarded").subscribe()
    assert usage.billed <= 1
    channel._database.extras.get(Hub).close()


def test_a_key_of_another_type_is_an_error(room, raw):
    raw("SET", "room", "a value")
    for _ in range(2):
        with pytest.raises(ReplyError, match="WRONGTYPE"):
            room.subscribe()


def test_a_defect_reaches_the_readers_which_do_not_wait_for_ever(room, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(hub, "decode_entries", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            room.subscribe()
    with room.subscribe() as events:
        room.publish("e", 1)
        assert events.receive(SECONDS).data == 1


def test_a_trimmed_stream_is_reported_once(room, raw):
    first = room.publish("e", 0)
    for number in range(1, 4):
        room.publish("e", number)
    raw("XTRIM", "room", "MAXLEN", "2")
    with room.subscribe(since=first) as subscription:
        with pytest.raises(EventsLost, match="'room'"):
            subscription.receive(SECONDS)
        assert [subscription.receive(SECONDS).data for _ in range(2)] == [2, 3]


def test_what_other_writers_publish_is_passed_over(room, raw):
    with room.subscribe() as subscription:
        assert subscription.receive(0.05) is None
        for message in ("x", '{"type":"ping","timestamp":1}', "[" * 5000, '{"id":"1-1"}'):
            raw("PUBLISH", "room", message)
        raw("XADD", "room", "*", "other", "field")
        room.publish("e", 1)
        assert subscription.receive(SECONDS).data == 1
    assert len(room.history()) == 1


@pytest.mark.parametrize("transport", ["rest"])
def test_a_local_cache_and_another_backend_have_no_channels(federation, settings):
    with pytest.raises(ConfigurationError, match="LocMemCache"):
        Channel("room", using="default")
    settings.CACHES = settings.CACHES | {
        "local": {
            "BACKEND": "continuum_upstash.backend.CacheBackend",
            "OPTIONS": {"MODE": "local"},
        }
    }
    channel = Channel("room", using="local")
    for call in (channel.publish, channel.apublish):
        with pytest.raises(ConfigurationError, match="all processes share"):
            _run(call("e"))
    for call in (channel.history, channel.subscribe):
        with pytest.raises(ConfigurationError, match="all processes share"):
            call()


def _run(result):
    if asyncio.iscoroutine(result):
        asyncio.run(result)


@pytest.mark.parametrize("transport", ["rest"])
def test_wrong_limits(federation):
    with pytest.raises(ValueError, match="positive"):
        Channel("room", using="federation", max_length=0)
    with pytest.raises(ValueError, match="positive"):
        Channel("room", using="federation", expire_after=0)
    with pytest.raises(ValueError, match="limit must be"):
        Channel("room", using="federation").history(limit=1001)
