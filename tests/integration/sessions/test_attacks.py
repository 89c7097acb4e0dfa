"""Session fixation, resurrection after logout, and a stolen dump of the database."""

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
from continuum_upstash.sessions.signing import Address
from tests.integration.sessions.session_site import records

pytestmark = pytest.mark.usefixtures("site", "ada")


def redis():
    return caches["sessions"].client.redis


# ---- fixation


def test_a_key_that_the_attacker_made_up_is_not_adopted(visitor):
    victim = visitor()
    victim.cookies["sessionid"] = "k" * 32
    victim.put(theme="dark")
    assert victim.key not in {None, "k" * 32}
    assert SessionStore("k" * 32).load() == {}


def test_a_key_that_the_attacker_was_given_does_not_become_a_login(visitor):
    attacker, victim = visitor(), visitor()
    attacker.put(theme="dark")
    planted = attacker.key
    victim.cookies["sessionid"] = planted
    victim.get("login")
    assert victim.key != planted
    assert victim.get("whoami").content == b"ada"
    assert victim.session()["theme"] == "dark"
    assert attacker.get("whoami").content == b""
    assert SessionStore(planted).load() == {}


# ---- resurrection


def test_a_slow_request_does_not_undo_a_logout(visitor):
    browser = visitor()
    browser.get("login")
    assert browser.get("overtaken").status_code == 400  # SessionInterrupted, as Django's
    assert records() == {}
    assert browser.get("whoami").content == b""


@pytest.mark.parametrize("merge", [True, False])
def test_no_interleaving_of_two_requests_revives_a_login(visitor, settings, merge):
    settings.SESSION_MERGE = merge
    browser = visitor()
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
    assert records() == {}
    assert browser.get("whoami").content == b""


# ---- a stolen dump


@pytest.fixture
def member(visitor):
    browser = visitor()
    browser.get("login")
    return browser


def dump():
    """Return everything that the database holds, as text."""
    everything = {}
    for name in redis().keys("*"):
        kind = redis().type(name)
        everything[name] = redis().get(name) if kind == "string" else redis().zrange(name, 0, -1)
    return everything


def test_a_dump_holds_no_session_key(member):
    assert len(member.key) == 32
    assert member.key not in json.dumps(dump())


def test_nothing_in_a_dump_is_a_cookie_that_works(member):
    words = json.dumps(dump()).replace('"', " ").replace(":", " ").replace(",", " ").split()
    cookies = {word for word in words if len(word) >= 8} | set(dump())
    cookies |= {word[:32] for word in cookies} | {word[-32:] for word in cookies}
    for cookie in cookies:
        thief = Client()
        thief.cookies["sessionid"] = cookie
        assert thief.get("/whoami").content == b"", cookie


def test_a_record_that_is_copied_to_another_name_is_refused(member, visitor, caplog):
    attacker = visitor()
    attacker.put(theme="dark")
    redis().set(name_of(attacker.key), redis().get(name_of(member.key)))
    assert attacker.get("whoami").content == b""
    assert attacker.key is None
    assert "Session data corrupted" in caplog.text


def name_of(session_key):
    return Address.of(caches["sessions"].key_prefix, session_key).name


def test_a_record_that_was_edited_is_refused(member):
    (name,) = records()
    _, stamp, signature = redis().get(name).split(":")
    edited = json.dumps({"_auth_user_id": "1", "is_admin": True}).encode()
    redis().set(name, f"{signing.b64_encode(edited).decode()}:{stamp}:{signature}")
    assert member.get("whoami").content == b""


def test_a_record_of_another_engine_is_refused(member):
    (name,) = records()
    redis().set(name, DatabaseStore().encode({"_auth_user_id": "1"}))
    assert member.get("whoami").content == b""


def test_an_error_names_neither_key_nor_data(member, emulator, remote):
    with emulator.fault("refuse", side="both"):
        response = member.get("show")
    assert response.status_code == 503
    assert member.key not in response.content.decode()
