"""Concurrent requests of one visitor, with and without SESSION_MERGE."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.sessions.backends.base import UpdateError

from continuum_upstash.sessions import SessionStore


@pytest.fixture
def key(site):
    store = SessionStore()
    store["old"] = 1
    store.save()
    return store.session_key


def test_by_default_the_last_write_wins(open_session, key):
    first, second = open_session(key), open_session(key)
    assert first.get("old") == second.get("old") == 1
    first.set("a", 1)
    second.set("b", 2)
    first.save()
    second.save()
    assert open_session(key).load() == {"old": 1, "b": 2}


def test_merging_keeps_the_changes_of_all_requests(open_session, key, settings):
    settings.SESSION_MERGE = True
    first, second, third = open_session(key), open_session(key), open_session(key)
    for each in (first, second, third):
        assert each.get("old") == 1
    first.set("a", 1)
    second.set("b", 2)
    third.pop("old")
    for each in (first, second, third):
        each.save()
    assert open_session(key).load() == {"a": 1, "b": 2}
    assert third.get("a") == 1  # the request continues with the stored data


def test_merging_does_not_restore_an_ended_session(open_session, key, settings):
    settings.SESSION_MERGE = True
    store = open_session(key)
    store.set("a", 1)
    open_session(key).delete()
    with pytest.raises(UpdateError):
        store.save()


def test_merging_moves_a_session_of_a_replaced_secret(open_session, key, settings):
    settings.SESSION_MERGE = True
    first, second = open_session(key), open_session(key)
    assert first.get("old") == second.get("old") == 1
    first.set("a", 1)
    first.save()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    second.set("b", 2)
    second.save()
    settings.SECRET_KEY_FALLBACKS = []
    assert open_session(key).load() == {"old": 1, "a": 1, "b": 2}


@pytest.mark.parametrize("api", ["sync"])
def test_sixteen_concurrent_writers_lose_no_change(key, settings, api):
    settings.SESSION_MERGE = True
    barrier = Barrier(16)

    def write(number):
        store = SessionStore(key)
        assert store["old"] == 1
        barrier.wait()
        store[f"field {number}"] = number
        store.save()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(16)))
    assert SessionStore(key).load() == {"old": 1} | {f"field {i}": i for i in range(16)}
