"""Session fixation, restoring a session after logout, and a stolen dump of the database."""

from __future__ import annotations

import json

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core import signing
from django.core.cache import caches
from django.test import Client

from continuum_upstash.sessions import SessionStore
from continuum_upstash.sessions.keys import StorageKey, compute_digests
from tests.integration.sessions.session_database import get_redis, read_sessions

pytestmark = pytest.mark.usefixtures("site", "ada")


# ---- fixation


def test_a_session_key_chosen_by_an_attacker_is_not_accepted(new_browser):
    victim = new_browser()
    victim.cookies["sessionid"] = "k" * 32
    victim.put(theme="dark")
    assert victim.key not in {None, "k" * 32}
    assert SessionStore("k" * 32).load() == {}


def test_a_login_changes_a_session_key_that_an_attacker_knows(new_browser):
    attacker, victim = new_browser(), new_browser()
    attacker.put(theme="dark")
    planted = attacker.key
    victim.cookies["sessionid"] = planted
    victim.get("login")
    assert victim.key != planted
    assert victim.get("whoami").content == b"ada"
    assert victim.read_session()["theme"] == "dark"
    assert attacker.get("whoami").content == b""
    assert SessionStore(planted).load() == {}


# ---- restoring a session


def test_a_slow_request_does_not_undo_a_logout(new_browser):
    browser = new_browser()
    browser.get("login")
    assert browser.get("concurrent-logout").status_code == 400  # SessionInterrupted, as Django's
    assert read_sessions() == {}
    assert browser.get("whoami").content == b""


@pytest.mark.parametrize("merge", [True, False])
def test_no_interleaving_of_requests_restores_a_login(new_browser, settings, merge):
    settings.SESSION_MERGE = merge
    browser = new_browser()
    browser.get("login")
    key = browser.key
    stores = [SessionStore(key) for _ in range(3)]
    for store in stores:
        assert store["_auth_user_id"]
    stores[0].flush()
    stores[1]["a"] = 1
    with pytest.raises(UpdateError):
        stores[1].save()
    with pytest.raises(SessionInterrupted):
        stores[2].cycle_key()
    assert read_sessions() == {}
    assert browser.get("whoami").content == b""


# ---- a stolen dump


def dump_database():
    """Return {Redis key: text} of the whole database."""
    redis, dump = get_redis(), {}
    for key in redis.keys("*"):
        is_text = redis.type(key) == "string"
        dump[key] = redis.get(key) if is_text else redis.zrange(key, 0, -1)
    return dump


def test_a_dump_contains_no_session_key(member):
    assert len(member.key) == 32
    assert member.key not in json.dumps(dump_database())


def test_nothing_in_a_dump_works_as_a_cookie(member):
    words = (
        json.dumps(dump_database()).replace('"', " ").replace(":", " ").replace(",", " ").split()
    )
    cookies = {word for word in words if len(word) >= 8} | set(dump_database())
    cookies |= {word[:32] for word in cookies} | {word[-32:] for word in cookies}
    for cookie in cookies:
        thief = Client()
        thief.cookies["sessionid"] = cookie
        assert thief.get("/whoami").content == b"", cookie


def test_a_session_that_was_copied_to_another_redis_key_is_rejected(member, new_browser, caplog):
    attacker = new_browser()
    attacker.put(theme="dark")
    get_redis().set(make_key(attacker.key), get_redis().get(make_key(member.key)))
    assert attacker.get("whoami").content == b""
    assert attacker.key is None
    assert "Session data corrupted" in caplog.text


def make_key(session_key):
    digests = compute_digests(session_key)
    return StorageKey(caches["sessions"].key_prefix, digests).redis_key


def test_a_session_that_was_edited_is_rejected(member):
    (redis_key,) = read_sessions()
    _, stamp, signature = get_redis().get(redis_key).split(":")
    edited = json.dumps({"_auth_user_id": "1", "is_admin": True}).encode()
    get_redis().set(redis_key, f"{signing.b64_encode(edited).decode()}:{stamp}:{signature}")
    assert member.get("whoami").content == b""


def test_a_session_of_another_engine_is_rejected(member):
    (redis_key,) = read_sessions()
    get_redis().set(redis_key, DatabaseStore().encode({"_auth_user_id": "1"}))
    assert member.get("whoami").content == b""


def test_an_error_response_contains_no_session_key(member, emulator, remote):
    with emulator.fault("refuse", side="both"):
        response = member.get("show")
    assert response.status_code == 503
    assert member.key not in response.content.decode()
