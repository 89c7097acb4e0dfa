from __future__ import annotations

from contextlib import contextmanager
from contextvars import Context
from itertools import count

import pytest
from django.contrib.auth.models import User
from django.core.cache import caches
from django.test import AsyncClient, Client

from continuum_upstash.sessions import SessionStore
from continuum_upstash.transports import registry
from tests.conftest import SyncOrAsync

_numbers = count()


# ---- the site and its session database


@pytest.fixture
def configure(settings, request):
    """Return a function that stores sessions over a transport: rest, tcp or local."""

    def set_up(transport, location=None, **options):
        if transport == "local":
            location, options = "", {"MODE": "local", **options}
        elif location is None:
            emulator = request.getfixturevalue("emulator")
            location = emulator.rest_url if transport == "rest" else emulator.redis_url
            if transport == "rest":
                options = {"TOKEN": emulator.token, **options}
        settings.CACHES = {
            "default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
            "sessions": {
                "BACKEND": "continuum_upstash.backend.CacheBackend",
                "LOCATION": location,
                "KEY_PREFIX": f"site{next(_numbers)}",
                "OPTIONS": options,
            },
        }

    settings.SESSION_ENGINE = "continuum_upstash.sessions"
    settings.SESSION_CACHE_ALIAS = "sessions"
    settings.ROOT_URLCONF = "tests.integration.sessions.session_site"
    settings.ALLOWED_HOSTS = ["*"]
    settings.MIDDLEWARE = [
        "continuum_upstash.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    yield set_up
    registry.reset()


@pytest.fixture(params=["rest", "tcp"])
def remote(request):
    return request.param


@pytest.fixture
def site(configure, remote):
    """A site with sessions in the emulator, whose eviction policy has been verified."""
    configure(remote)
    SessionStore().exists("warm0up0")


@pytest.fixture
def fallback_engine(site, settings):
    settings.SESSION_FALLBACK_ENGINE = "django.contrib.sessions.backends.db"


@pytest.fixture
def outage(emulator):
    """Return a function whose block has no session database."""
    return lambda: emulator.fault("refuse", side="both")


@pytest.fixture
def recover():
    """Return a function that closes the circuit breaker, so that the next call is sent."""

    def reset_breaker():
        caches["sessions"].database.failover.breaker.reset()

    return reset_breaker


@pytest.fixture
def brief_outage(outage, recover):
    """Return a function whose block has no session database; the breaker is closed after it."""

    @contextmanager
    def block():
        with outage():
            yield
        recover()

    return block


# ---- sessions and browsers, sync and async


@pytest.fixture
def wrap_store(api, request):
    """Return a function that wraps a session store, so that its methods are sync or async."""
    runner = request.getfixturevalue("runner") if api == "async" else None
    return lambda store: WrappedStore(store, runner)


@pytest.fixture
def open_session(site, wrap_store):
    """Return a function that makes a wrapped session store."""
    return lambda key=None: wrap_store(SessionStore(key))


@pytest.fixture
def new_browser(api, request):
    """Return a function that makes a browser for a WSGI or an ASGI site."""
    runner = request.getfixturevalue("runner") if api == "async" else None
    return lambda: Browser(runner)


@pytest.fixture
def ada(transactional_db):
    return User.objects.create(username="ada")


@pytest.fixture
def bob(transactional_db):
    return User.objects.create(username="bob")


@pytest.fixture
def member(site, ada, new_browser):
    """A browser that is logged in as ada; its session has a theme."""
    browser = new_browser()
    browser.get("login")
    browser.put(theme="dark")
    return browser


class WrappedStore(SyncOrAsync):
    """A session store whose methods, or their async versions, are called by the sync name."""

    @property
    def store(self):
        return self.cache

    @property
    def key(self):
        return self.cache.session_key

    def set(self, name, value):
        if self._runner is None:
            self.store[name] = value
        else:
            self.__getattr__("set")(name, value)


_ASYNC_PAGES = {"show", "put", "login", "logout", "whoami"}


class Browser:
    """Django's test client; over ASGI with the async views, so that no thread is used."""

    def __init__(self, runner=None):
        self.runner = runner
        client = Client if runner is None else AsyncClient
        self.client = client(raise_request_exception=False)
        self.cookies = self.client.cookies

    def get(self, page, **headers):
        return self._visit(self.client.get, page, headers=headers)

    def put(self, **data):
        return self._visit(self.client.post, "put", data=data, content_type="application/json")

    def _visit(self, method, page, **arguments):
        if self.runner is None:
            return method(f"/{page}", **arguments)
        if page.partition("?")[0] in _ASYNC_PAGES:
            page = f"a{page}"

        async def request():
            return await method(f"/{page}", **arguments)

        # A context of its own, as on another instance: without the sync tokens of other requests.
        return self.runner.run(request(), context=Context())

    @property
    def key(self):
        cookie = self.cookies.get("sessionid")
        return cookie.value if cookie is not None and cookie["max-age"] != 0 else None

    @property
    def username(self):
        """The name of the user who is logged in; empty if none is."""
        response = self.get("whoami")
        assert response.status_code == 200
        return response.content.decode()

    def read_session(self):
        return self.get("show").json()
