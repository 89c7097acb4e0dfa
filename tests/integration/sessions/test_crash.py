"""Workers that are killed in mid-save, and a user with 64 requests at once.

TEST_LENGTH=20 makes it 64,000 requests and 100 kills.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from random import Random
from threading import Timer

import pytest
from django.conf import settings
from django.core.cache import caches
from django.core.signing import JSONSerializer
from django.test import Client

from continuum_upstash.sessions import SessionStore
from continuum_upstash.sessions.signing import unseal
from tests.integration.sessions.session_site import records
from tests.integration.sessions.session_worker import PAYLOAD

LENGTH = int(os.environ.get("TEST_LENGTH", "1"))
THREADS, REQUESTS, KILLS = 64, 50 * LENGTH, 5 * LENGTH


# ---- killed in mid-save


def work_until_killed(key, action, seconds):
    """Let a worker save for so long after its first round, then kill it where it stands."""
    cache = settings.CACHES["sessions"]
    task = json.dumps({"cache": cache, "key": key, "action": action})
    command = [sys.executable, "-m", "tests.integration.sessions.session_worker", task]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout.readline() != ""
        Timer(seconds, worker.kill).start()
        rounds = worker.stdout.readlines()
        assert worker.wait() == -9
    return len(rounds)


@pytest.mark.parametrize("action", ["save", "merge", "cycle"])
def test_a_session_is_old_or_new_after_its_worker_was_killed_but_never_gone(site, action, remote):
    store = SessionStore()
    store["round"] = 0
    store["payload"] = f"{PAYLOAD}0"
    store.save()
    random = Random(action)
    rounds = 0
    for _ in range(KILLS if action == "save" else 2 * LENGTH):
        rounds += work_until_killed(store.session_key, action, random.uniform(0.05, 0.1))
        (name,) = records()  # a key that changes leaves one session, too
        found = read(name)
        assert found["payload"] == f"{PAYLOAD}{found['round']}"
        if action == "cycle":
            store = SessionStore()
            store.update(found)
            clear()
            store.save()
    assert rounds > 0


def read(name):
    """Return the data of the only session, whose key nobody knows."""
    raw = caches["sessions"].client.redis.get(name).encode()
    digest = name.rpartition(":")[2]
    return unseal(raw, [digest], JSONSerializer).data


def clear():
    for name in records():
        caches["sessions"].client.redis.delete(name)


# ---- 64 requests at once


@pytest.mark.parametrize("merge", [False, True])
def test_64_threads_of_one_user_never_see_a_lost_login(configure, valkey, settings, merge):
    settings.SESSION_MERGE = merge
    # So many threads on a busy machine may wait for longer than a site would let them.
    configure("tcp", valkey.url, POOL_SIZE=THREADS, CONNECT_TIMEOUT=60, READ_TIMEOUT=60)
    first = Client()
    first.get("/signin")
    cookie, numbers = first.cookies["sessionid"].value, count()

    def browse(number):
        shared, own = Client(), Client()
        shared.cookies["sessionid"] = cookie
        assert own.get("/signin").status_code == 200
        for turn in range(REQUESTS // 2):
            body = {f"field {number}": turn}
            for browser in (shared, own):
                writes = turn % 3 == 0
                response = (
                    browser.post("/put", body, content_type="application/json")
                    if writes
                    else browser.get("/show")
                )
                assert response.status_code == 200
                assert writes or response.json()["_auth_user_id"] == "7"
                next(numbers)
        assert own.get("/show").json()[f"field {number}"] == turn - turn % 3
        return turn - turn % 3

    with ThreadPoolExecutor(THREADS) as pool:
        last = dict(enumerate(pool.map(browse, range(THREADS))))
    assert next(numbers) == THREADS * (REQUESTS // 2) * 2
    assert len(records()) == 1 + THREADS
    index = f"{caches['sessions'].key_prefix}:session-user:7"
    assert caches["sessions"].client.redis.zcard(index) == 1 + THREADS
    if merge:
        found = SessionStore(cookie).load()
        assert {n: found[f"field {n}"] for n in last} == last
