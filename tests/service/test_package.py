"""PKG: the package itself, over REST and TCP, sync and async.

Each test uses several of the assumptions above at once.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.core.cache import cache as django_cache

from continuum_upstash.errors import LockLost
from continuum_upstash.federation import Channel
from continuum_upstash.federation.channels.hub import Hub
from continuum_upstash.ratelimit import Limiter, Policy
from continuum_upstash.ratelimit.rate import parse_rate
from continuum_upstash.sessions import SessionStore
from tests.service.catalogue import UPSTASH, assume
from tests.service.expectations import between

VALUES = {
    "text": "text, ünïcode, \U0001f600",
    "empty": "",
    "int": 42,
    "large": 2**60,
    "float": 1.5,
    "none": None,
    "bytes": bytes(range(256)),
    "nested": {"a": [1, {"b": (2, 3)}], "c": {4, 5}},
    "types": [datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.10"), UUID(int=7)],
}


@assume(
    "PKG-001",
    unproven="this package was never run on the service",
    affects="cache.set and cache.get: values come back changed, or not at all.",
    commands=2 * len(VALUES),
)
def test_values(cache, make_key):
    """set and get return each value as it was, with its type."""
    for name, value in VALUES.items():
        assert cache.set(make_key(name), value, ttl=60) is True
        assert cache.get(make_key(name)) == value


@assume(
    "PKG-002",
    unproven="this package was never run on the service",
    affects="The async cache: values come back changed, or to another task.",
    commands=2 * len(VALUES),
)
async def test_values_of_concurrent_tasks(acache, make_key):
    """Concurrent async commands, which share requests, return each value to its task."""
    await asyncio.gather(*[acache.set(make_key(k), v, ttl=60) for k, v in VALUES.items()])
    found = await asyncio.gather(*[acache.get(make_key(name)) for name in VALUES])
    assert found == list(VALUES.values())


@assume(
    "PKG-003",
    unproven="this package was never run on the service",
    affects="set_many and get_many.",
    commands=2 * len(VALUES) + 2,
)
def test_many_values(cache, make_key):
    """set_many and get_many store and return values of every type."""
    values = {make_key(name): value for name, value in VALUES.items()}
    assert cache.set_many(values, ttl=60) == []
    assert cache.get_many([*values, make_key("missing")]) == values
    assert cache.delete(*values) == len(values)


@assume(
    "PKG-004",
    unproven="this package was never run on the service",
    affects="add, expire, ttl, incr, exists, delete of the plain client.",
    commands=12,
)
def test_methods(cache, make_key):
    """add, ttl, expire, incr, exists and delete do what they promise."""
    key, counter = make_key("key"), make_key("counter")
    assert cache.add(key, {"bytes": b"\xff"}, ttl=60) is True
    assert cache.add(key, {"bytes": b"\xfe"}, ttl=60) is False
    assert cache.get(key) == {"bytes": b"\xff"}
    assert cache.ttl(key) == between(1, 60)
    assert cache.expire(key, None) is True
    assert cache.ttl(key) is None
    assert [cache.incr(counter), cache.incr(counter, 4)] == [1, 5]
    assert cache.exists(key) is True
    assert cache.delete(key, counter) == 2
    assert cache.get(key, "default") == "default"


@assume(
    "PKG-005",
    unproven="this package was never run on the service",
    affects="get_or_set.",
    commands=3,
)
def test_get_or_set(cache, key):
    """get_or_set computes a missing value once."""
    assert cache.get_or_set(key, lambda: {"bytes": b"\xff"}, ttl=60) == {"bytes": b"\xff"}
    assert cache.get_or_set(key, "other", ttl=60) == {"bytes": b"\xff"}


@assume(
    "PKG-006",
    unproven="this package was never run on the service",
    affects="Pipelines, atomic or not.",
    commands=5,
)
@pytest.mark.parametrize("atomic", [False, True])
def test_pipelines(cache, make_key, atomic):
    """A pipeline returns the results in order, also of values that are not text."""
    a, b = make_key("a"), make_key("b")
    pipeline = cache.pipeline(atomic=atomic)
    pipeline.set(a, b"\xff\x00", ex=60).get(a).incr(b, 2).expire(b, 60).get(make_key("c"))
    assert pipeline.execute() == [True, b"\xff\x00", 2, True, None]


@assume(
    "PKG-007",
    unproven="this package was never run on the service",
    affects="Locks: two holders at once, or a lock that stays for its lease.",
    commands=30,
)
def test_locks(cache, key):
    """A lock excludes others, is extended and released by its holder only, and then is free."""
    lock, other = cache.lock(key, lease=30), cache.lock(key, lease=30, wait=0)
    assert lock.acquire() is True
    assert other.acquire() is False
    lock.extend(60)
    assert cache.ttl(key) == between(31, 60)
    lock.release()
    assert other.acquire() is True
    with pytest.raises(LockLost):
        lock.release()
    other.release()
    assert cache.exists(key) is False


@assume(
    "PKG-008",
    unproven="this package was never run on the service",
    affects="delete_pattern, keys, and clear of the Django cache.",
    commands=40,
)
def test_patterns(cache, make_key):
    """keys and delete_pattern find exactly the keys that match."""
    if cache.info()["keys"] > 10_000:
        pytest.skip("the database has more than 10,000 keys")
    names = [make_key(name) for name in ("p:a", "p:b", "q:c")]
    cache.set_many(dict.fromkeys(names, 1), ttl=60)
    pattern = names[0].removesuffix("a") + "*"
    assert set(cache.keys(pattern)) == set(names[:2])
    assert cache.delete_pattern(pattern) == 2
    assert cache.get_many(names) == {names[2]: 1}


@assume(
    "PKG-009",
    unproven="this package was never run on the service",
    affects="client.redis, the commands of Upstash's SDK.",
    commands=6,
)
def test_the_sdk(cache, key):
    """The SDK's typed commands work over this package's transport."""
    assert cache.redis.hset(key, values={"a": "1", "b": "2"}) == 2
    assert cache.redis.hgetall(key) == {"a": "1", "b": "2"}
    assert cache.redis.expire(key, 60) is True
    assert cache.redis.zscore(key + "missing", "a") is None


@assume(
    "PKG-010",
    unproven="this package was never run on the service",
    affects="SESSION_MERGE: of two requests at once, one loses its changes.",
    commands=30,
)
def test_concurrent_saves_of_a_session(django_site, settings):
    """With SESSION_MERGE, two requests that change one session keep each other's changes."""
    settings.SESSION_MERGE = True
    session = SessionStore()
    session["before"] = 1
    session.create()
    one, other = (SessionStore(session.session_key) for _ in range(2))
    assert (one["before"], other["before"]) == (1, 1)
    one["one"], other["other"] = "ünïcode", 2
    one.save()
    other.save()
    assert SessionStore(session.session_key).load() == {"before": 1, "one": "ünïcode", "other": 2}
    other.flush()


@assume(
    "PKG-011",
    unproven="this package was never run on the service",
    affects="The Django cache: touch, incr, add, get_many, versions.",
    commands=24,
)
def test_the_django_cache(django_site):
    """Django's methods do what they promise, with incr on existing keys only."""
    assert django_cache.add("a", [b"\xff"]) is True
    assert django_cache.add("a", "other") is False
    assert django_cache.get("a") == [b"\xff"]
    assert django_cache.touch("a", 30) is True
    django_cache.set("n", 1)
    assert django_cache.incr("n", 9) == 10
    with pytest.raises(ValueError, match="missing"):
        django_cache.incr("missing")
    assert django_cache.incr_version("n") == 2
    assert django_cache.get("n", version=2) == 10
    assert django_cache.get_many(["a", "b"]) == {"a": [b"\xff"]}
    django_cache.delete_many(["a"])
    assert django_cache.get("a") is None


@assume(
    "PKG-012",
    unproven="this package was never run on the service",
    affects="Sessions: logins, saves and logouts.",
    commands=30,
)
def test_sessions(django_site):
    """A session is created, read, changed, given a new key and deleted; it cannot be revived."""
    session = SessionStore()
    session["cart"] = [1, "ünïcode"]
    session.create()
    again = SessionStore(session.session_key)
    assert again["cart"] == [1, "ünïcode"]
    again["more"] = True
    again.save()
    old_key = again.session_key
    again.cycle_key()
    assert SessionStore(old_key).load() == {}
    assert SessionStore(again.session_key)["more"] is True
    stale = SessionStore(again.session_key)
    assert stale["more"] is True
    again.flush()
    stale["more"] = False
    with pytest.raises(UpdateError):
        stale.save()


@assume(
    "PKG-013",
    unproven="this package was never run on the service",
    affects="Rate limits: requests are allowed or refused that should not be.",
    commands=30,
)
@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
def test_rate_limits(django_site, algorithm):
    """A limiter allows what its policy says, and no more."""
    policy = Policy(name="suite", rate=parse_rate("3/h"), algorithm=algorithm)
    limiter = Limiter("default")
    decisions = [limiter.check([policy], "client") for _ in range(5)]
    assert [decision.allowed for decision in decisions] == [True, True, True, False, False]
    assert {decision.reason for decision in decisions[:3]} == {"allowed"}


@assume(
    "PKG-014",
    unproven="this package was never run on the service",
    affects="The panel, health checks and the eviction check of sessions.",
    commands=0,
)
def test_info(cache):
    """info() has the number of keys, the used memory and the eviction policy."""
    info = cache.info()
    assert cache.ping() is True
    assert info["keys"] == between(0, 10**12)
    assert info["maxmemory_policy"] != ""


@assume(
    "PKG-015",
    unproven="this package was never run on the service",
    affects="Channels and live pages: events arrive late, twice or not at all.",
    commands=12,
    profiles=UPSTASH,
)
def test_channels(django_site, make_key):
    """A reader of a channel receives the events that it missed, and then the live ones."""
    channel = Channel(make_key("a room").replace("/", "-"), using="default")
    make_key.add(channel.name)
    first, missed = channel.publish("e", 1), channel.publish("e", {"text": "ü,\n"})
    try:
        with channel.subscribe(since=first) as events:
            assert events.receive(8).id == missed
            live = channel.publish("e", "live")
            assert events.receive(8).id == live
        assert [event.id for event in channel.history()] == [first, missed, live]
    finally:
        django_cache.database.extras.get(Hub).close()
