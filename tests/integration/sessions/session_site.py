"""A small site with sessions, and fixtures to visit it over each transport, WSGI and ASGI."""

from __future__ import annotations

import json
from contextvars import Context
from itertools import count

import pytest
from django.contrib import auth
from django.contrib.auth.models import User
from django.core.cache import caches
from django.http import HttpResponse, JsonResponse
from django.test import AsyncClient, Client
from django.urls import path

from continuum_upstash.sessions import SessionStore
from continuum_upstash.transports import registry
from tests.conftest import SyncOrAsync

_numbers = count()


# ---- views


def show(request):
    return JsonResponse(dict(request.session.items()))


async def ashow(request):
    return JsonResponse(dict(await request.session.aitems()))


def put(request):
    request.session.update(json.loads(request.body))
    return HttpResponse()


async def aput(request):
    await request.session.aupdate(json.loads(request.body))
    return HttpResponse()


def login(request):
    auth.login(request, User.objects.get(username=request.GET.get("user", "ada")), BACKEND)
    return HttpResponse()


async def alogin(request):
    user = await User.objects.aget(username=request.GET.get("user", "ada"))
    await auth.alogin(request, user, BACKEND)
    return HttpResponse()


def logout(request):
    auth.logout(request)
    return HttpResponse()


async def alogout(request):
    await auth.alogout(request)
    return HttpResponse()


def whoami(request):
    return HttpResponse(request.user.get_username())


async def awhoami(request):
    return HttpResponse((await request.auser()).get_username())


def plain(request):
    return HttpResponse("no session needed")


def signin(request):
    """As a login, for a user of no table."""
    request.session.cycle_key()
    request.session["_auth_user_id"] = "7"
    return HttpResponse()


def overtaken(request):
    """While this request is under way, another one logs the visitor out."""
    assert request.session.get("_auth_user_id")
    SessionStore(request.session.session_key).flush()
    request.session["cart"] = ["tea"]
    return HttpResponse()


def failed_login(request):
    auth.login(request, User.objects.get(username="ada"), BACKEND)
    return HttpResponse(status=500)


BACKEND = "django.contrib.auth.backends.ModelBackend"

urlpatterns = [
    path("show", show),
    path("ashow", ashow),
    path("put", put),
    path("aput", aput),
    path("login", login),
    path("alogin", alogin),
    path("logout", logout),
    path("alogout", alogout),
    path("whoami", whoami),
    path("awhoami", awhoami),
    path("plain", plain),
    path("failed-login", failed_login),
    path("overtaken", overtaken),
    path("signin", signin),
]


def reads_session_before_the_view(get_response):
    def middleware(request):
        request.session.get("theme")
        return get_response(request)

    return middleware


# ---- fixtures


@pytest.fixture
def configure(settings, request):
    """Return a function that puts sessions on a transport: rest, tcp or local."""

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
    settings.ROOT_URLCONF = __name__
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
    """Sessions in the emulator, which has been asked whether it evicts."""
    configure(remote)
    SessionStore().exists("warm0up0")


@pytest.fixture
def in_api(api, request):
    """Return a function that calls a session's methods sync or async."""
    runner = request.getfixturevalue("runner") if api == "async" else None
    return lambda session: Spoken(session, runner)


@pytest.fixture
def session(site, in_api):
    """Return a function that makes session stores, spoken to sync or async."""
    return lambda key=None: in_api(SessionStore(key))


@pytest.fixture
def visitor(api, request):
    """Return a function that makes browsers, of a WSGI or an ASGI site."""
    runner = request.getfixturevalue("runner") if api == "async" else None
    return lambda: Browser(runner)


@pytest.fixture
def ada(transactional_db):
    return User.objects.create(username="ada")


@pytest.fixture
def bob(transactional_db):
    return User.objects.create(username="bob")


class Spoken(SyncOrAsync):
    """A session whose methods, or their a…() twins, are called by one spelling."""

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


class Browser:
    """Django's test client; over ASGI with the async views, so that nothing hops to a thread."""

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
        # Each request knows nothing of what others wrote, as on another instance.
        coroutine = _awaited(method, _async_page(page), arguments)
        return self.runner.run(coroutine, context=Context())

    @property
    def key(self):
        cookie = self.cookies.get("sessionid")
        return cookie.value if cookie is not None and cookie["max-age"] != 0 else None

    def session(self):
        return self.get("show").json()


_ASYNC_PAGES = {"show", "put", "login", "logout", "whoami"}


def _async_page(page):
    return f"/a{page}" if page.partition("?")[0] in _ASYNC_PAGES else f"/{page}"


async def _awaited(method, page, arguments):
    return await method(page, **arguments)


def records():
    """Return {name: value} of what the session database holds, as somebody who dumped it."""
    redis = caches["sessions"].client.redis
    return {name: redis.get(name) for name in redis.keys("*") if ":session:" in name}


__all__ = [
    "Browser",
    "ada",
    "bob",
    "configure",
    "in_api",
    "records",
    "remote",
    "session",
    "site",
    "visitor",
]
