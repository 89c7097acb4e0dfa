"""Sessions of other engines are moved without a logout."""

from __future__ import annotations

from importlib import import_module
from threading import Thread

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.cache import caches
from django.db import connections
from django.test import Client

from continuum_upstash.errors import SessionStoreUnavailable
from continuum_upstash.migration.conf import BACKEND
from continuum_upstash.migration.rollout import override_rollout
from continuum_upstash.migration.sessions import SessionStore
from continuum_upstash.sessions import SessionStore as OwnStore
from continuum_upstash.sessions.plans import SessionPlans
from continuum_upstash.sessions.session_runner import ImproperlyConfiguredSessions
from tests.integration.cache_entries import make_entry

pytestmark = pytest.mark.django_db(transaction=True)

DJANGO = "django.contrib.sessions.backends"
# The engine that the sessions come from, and the BACKEND of its cache.
ORIGINS = {
    "cache in RedisCache": (f"{DJANGO}.cache", "django.core.cache.backends.redis.RedisCache"),
    "cache in django-redis": (f"{DJANGO}.cache", "django_redis.cache.RedisCache"),
    "cached_db": (f"{DJANGO}.cached_db", "django_redis.cache.RedisCache"),
    "db": (f"{DJANGO}.db", "django.core.cache.backends.locmem.LocMemCache"),
}


@pytest.fixture(params=list(ORIGINS))
def origin(request):
    return ORIGINS[request.param]


@pytest.fixture
def moving_site(site, emulator, classic, origin):
    """A site whose sessions move from the origin to the emulator."""
    engine, backend = origin
    site.CACHES = {
        "default": {"BACKEND": BACKEND, "OPTIONS": {"OLD": "classic", "NEW": "sessions"}},
        "classic": {"BACKEND": backend, "LOCATION": classic.url, "KEY_PREFIX": "shop"},
        "sessions": make_entry(emulator, KEY_PREFIX="shop"),
    }
    site.SESSION_ENGINE = "continuum_upstash.migration.sessions"
    site.SESSION_CACHE_ALIAS = "sessions"
    site.SESSION_OLD_ENGINE = engine
    site.SESSION_OLD_CACHE_ALIAS = "classic"
    return site


class Calls:
    """Calls the sync or async methods of a session."""

    def __init__(self, session, api):
        self.session, self._api = session, api

    def __getattr__(self, name):
        if self._api == "sync":
            return getattr(self.session, name)
        return async_to_sync(getattr(self.session, f"a{name}"))


@pytest.fixture
def open_session(moving_site, api):
    return lambda key=None: Calls(SessionStore(key), api)


def make_old_session(site, **data):
    """Store a session as the site did before, and return its key."""
    alias, site.SESSION_CACHE_ALIAS = site.SESSION_CACHE_ALIAS, "classic"
    session = import_module(site.SESSION_OLD_ENGINE).SessionStore()
    session.update(data)
    session.save()
    site.SESSION_CACHE_ALIAS = alias
    return session.session_key


def is_in_old_store(site, key):
    alias, site.SESSION_CACHE_ALIAS = site.SESSION_CACHE_ALIAS, "classic"
    found = import_module(site.SESSION_OLD_ENGINE).SessionStore().exists(key)
    site.SESSION_CACHE_ALIAS = alias
    return found


def test_a_session_is_moved_when_it_is_read(moving_site, open_session):
    key = make_old_session(moving_site, cart=[1, 2])
    session = open_session(key)
    assert session.exists(key)
    assert session.get("cart") == [1, 2]
    assert session.session.session_key == key
    assert OwnStore(key).exists(key)
    assert not is_in_old_store(moving_site, key)
    session.update({"cart": [3]})
    session.save()
    assert OwnStore(key)["cart"] == [3]
    assert open_session(key).get("cart") == [3]


def test_a_session_stays_where_the_rollout_assigns_its_key(moving_site, open_session):
    moving_site.SESSION_ROLLOUT_ALIAS = "default"
    key = make_old_session(moving_site, cart=[1])
    with override_rollout("default", "canary", 0):
        session = open_session(key)
        assert session.get("cart") == [1]
        session.update({"cart": [2]})
        session.save()
        assert is_in_old_store(moving_site, key)
        assert not OwnStore(key).exists(key)
        created = open_session()
        created.save()
        created_key = created.session.session_key
        assert is_in_old_store(moving_site, created_key)
        session.cycle_key()
        assert not is_in_old_store(moving_site, key)
        key = session.session.session_key
        assert is_in_old_store(moving_site, key)
    with override_rollout("default", "canary", 100):
        assert open_session(key).get("cart") == [2]
        assert OwnStore(key).exists(key)
        assert not is_in_old_store(moving_site, key)
    with override_rollout("default", "shadow"):  # a rollback: the new store is read first
        session = open_session(key)
        assert session.get("cart") == [2]
        session.update({"cart": [3]})
        session.save()
        assert open_session(key).get("cart") == [3]


@pytest.mark.parametrize("percent", [0, 100])
def test_a_logout_ends_the_session_in_both_stores(moving_site, open_session, percent):
    moving_site.SESSION_ROLLOUT_ALIAS = "default"
    key = make_old_session(moving_site, cart=[1])
    with override_rollout("default", "canary", percent):
        session = open_session(key)
        session.get("cart")
        session.flush()
        assert not OwnStore(key).exists(key)
        assert not is_in_old_store(moving_site, key)
        assert open_session(key).get("cart") is None


def run_in_thread(function):
    thread = Thread(target=lambda: (function(), connections.close_all()))
    thread.start()
    thread.join()


def test_a_logout_while_the_session_is_moved_is_not_undone(moving_site, open_session, monkeypatch):
    key = make_old_session(moving_site, cart=[1])
    create = SessionPlans.create

    def create_later(self, *arguments):
        run_in_thread(SessionStore(key).delete)  # of another request
        return (yield from create(self, *arguments))

    monkeypatch.setattr(SessionPlans, "create", create_later)
    session = open_session(key)
    assert session.load() == {}
    assert session.session.session_key is None
    assert not OwnStore(key).exists(key)


def test_a_session_that_cannot_be_moved_safely_stays_in_the_old_store(
    moving_site, open_session, monkeypatch
):
    key = make_old_session(moving_site, cart=[1])
    original = SessionStore._call_old

    def fail_to_look(self, session_key, method, *arguments, **options):
        if method == "exists":
            raise SessionStoreUnavailable("down")
        return (yield from original(self, session_key, method, *arguments, **options))

    with monkeypatch.context() as patch:
        patch.setattr(SessionStore, "_call_old", fail_to_look)
        with pytest.raises(SessionStoreUnavailable):
            open_session(key).load()
        assert not OwnStore(key).exists(key)
    assert open_session(key).load() == {"cart": [1]}


@pytest.mark.parametrize("api", ["sync"])
def test_a_logout_begins_with_the_old_store(moving_site, open_session, monkeypatch):
    """A request that moves the session looks there after it has stored it in the new one."""
    key = make_old_session(moving_site, cart=[1])
    delete, found = SessionPlans.delete, []

    def delete_later(self, *arguments):
        found.append(is_in_old_store(moving_site, key))
        return (yield from delete(self, *arguments))

    monkeypatch.setattr(SessionPlans, "delete", delete_later)
    open_session(key).delete(key)
    assert found == [False]


def test_a_key_that_no_store_has_is_dropped(open_session):
    session = open_session("x" * 32)
    assert session.load() == {}
    assert session.session.session_key is None


def test_a_user_stays_logged_in(moving_site):
    user = User.objects.create_user("ada", password="secret")
    moving_site.SESSION_ENGINE, moving_site.SESSION_CACHE_ALIAS = (
        moving_site.SESSION_OLD_ENGINE,
        "classic",
    )
    moving_site.ROOT_URLCONF = "tests.integration.sessions.session_site"
    client = Client()
    client.force_login(user)
    moving_site.SESSION_ENGINE = "continuum_upstash.migration.sessions"
    moving_site.SESSION_CACHE_ALIAS = "sessions"
    key = client.cookies["sessionid"].value
    assert SessionStore(key)["_auth_user_id"] == str(user.pk)
    assert client.session["_auth_user_id"] == str(user.pk)
    client.logout()
    assert not OwnStore(key).exists(key)


@pytest.mark.parametrize("origin", ["cache in RedisCache"], indirect=True)
def test_an_error_of_the_old_store_does_not_log_out(moving_site, open_session, monkeypatch):
    key = make_old_session(moving_site, cart=[1])

    def fail(*args, **kwargs):
        raise ConnectionError("down")

    monkeypatch.setattr(type(caches["classic"]), "get", fail)
    session = open_session(key)
    with pytest.raises(SessionStoreUnavailable, match="no user was logged out"):
        session.load()
    assert session.session.session_key == key


def test_the_old_engine_must_be_set(moving_site):
    del moving_site.SESSION_OLD_ENGINE
    with pytest.raises(ImproperlyConfiguredSessions, match="SESSION_OLD_ENGINE"):
        SessionStore("x" * 32).load()
