"""Workers that are killed while they save, and one user's 64 concurrent requests.

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
from django.core.signing import JSONSerializer
from django.test import Client

from continuum_upstash.sessions import SessionStore
from continuum_upstash.sessions.signing import verify
from tests.integration.sessions.session_database import (
    count_indexed,
    get_redis,
    read_sessions,
)
from tests.integration.sessions.session_worker import PAYLOAD

LENGTH = int(os.environ.get("TEST_LENGTH", "0"))
THREADS, REQUESTS, KILLS = 64, 50 * LENGTH or 20, 5 * LENGTH or 2


# ---- killed during a save


def work_until_killed(key, action, seconds):
    """Start a worker, kill it `seconds` after its first round; return its further rounds."""
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
def test_after_a_kill_the_session_is_the_old_or_the_new_one(site, action, remote):
    store = SessionStore()
    store["round"] = 0
    store["payload"] = f"{PAYLOAD}0"
    store.save()
    random = Random(action)
    rounds = 0
    for _ in range(KILLS if action == "save" else 2 * LENGTH or 1):
        rounds += work_until_killed(store.session_key, action, random.uniform(0.05, 0.1))
        (redis_key,) = read_sessions()  # with `cycle`, too, there is exactly one
        found = read_data(redis_key)
        assert found["payload"] == f"{PAYLOAD}{found['round']}"
        if action == "cycle":
            store = SessionStore()
            store.update(found)
            delete_sessions()
            store.save()
    assert rounds > 0


def read_data(redis_key):
    """Return the data of a session whose session key is unknown."""
    raw = get_redis().get(redis_key).encode()
    digest = redis_key.rpartition(":")[2]
    return verify(raw, [digest], JSONSerializer).data


def delete_sessions():
    get_redis().delete(*read_sessions())


# ---- 64 concurrent requests


@pytest.mark.parametrize("merge", [False, True])
def test_64_threads_of_one_user_stay_logged_in(configure, valkey, settings, merge):
    settings.SESSION_MERGE = merge
    # 64 threads on a busy machine need longer timeouts than a site.
    configure("tcp", valkey.url, POOL_SIZE=THREADS, CONNECT_TIMEOUT=60, READ_TIMEOUT=60)
    first = Client()
    first.get("/login-without-table")
    cookie, numbers = first.cookies["sessionid"].value, count()

    def browse(number):
        shared, own = Client(), Client()
        shared.cookies["sessionid"] = cookie
        assert own.get("/login-without-table").status_code == 200
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
    assert len(read_sessions()) == 1 + THREADS
    assert count_indexed(7) == 1 + THREADS
    if merge:
        found = SessionStore(cookie).load()
        assert {n: found[f"field {n}"] for n in last} == last
