from __future__ import annotations

import json
import threading

import httpx
import pytest
import uvicorn
from django.core.asgi import get_asgi_application
from django.core.cache import caches
from django.core.wsgi import get_wsgi_application

from continuum_upstash.federation import Channel
from continuum_upstash.federation.channels.hub import Hub
from continuum_upstash.federation.live.open_streams import OpenStreams
from continuum_upstash.plans.effects import call
from continuum_upstash.transports.registry import get_process_state
from tests.integration.federation.wsgi_server import serve
from tests.waiting import wait_until

HERE = "tests.integration.federation.live.live_urls"


@pytest.fixture
def federation(emulator, settings, new_process_state):
    """The alias "federation" over REST, and a site that lets pages read some channels."""
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "federation": {
            "BACKEND": "continuum_upstash.backend.CacheBackend",
            "LOCATION": emulator.rest_url,
            "OPTIONS": {"TOKEN": emulator.token},
        },
    }
    settings.ROOT_URLCONF = HERE
    settings.MIDDLEWARE = []
    settings.CONTINUUM_LIVE = {"CHANNELS": ["default", "public"], "AUTHORIZE": f"{HERE}.authorize"}
    database = caches["federation"].database
    yield database
    database.extras.get(Hub, lambda: Hub(database)).close()
    database.close()


@pytest.fixture
def raw(federation):
    """Sends one command."""
    cache = caches["federation"]
    return lambda *command: cache.run(call(*command))


@pytest.fixture
def room(federation):
    return Channel("room")


async def _application(scope, receive, send):
    """The site with the settings of the current test."""
    await get_asgi_application()(scope, receive, send)


@pytest.fixture(scope="module")
def asgi_server():
    config = uvicorn.Config(
        _application, host="127.0.0.1", port=0, lifespan="off", log_level="critical"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def asgi_site(asgi_server, federation, request_signals):
    """The URL of the route, served by uvicorn."""
    yield f"{asgi_server}/api/realtime"
    wait_until(lambda: not get_process_state(OpenStreams).get_count("process"))


@pytest.fixture
def wsgi_site(federation, request_signals):
    """The URL of the route, served by one thread."""
    with serve(get_wsgi_application()) as url:
        yield f"{url}/api/realtime"


class Page:
    """A page that reads a stream."""

    def __init__(self, url, query="", **headers):
        self._client = httpx.Client(timeout=10)
        self._context = self._client.stream(
            "GET", url + query, headers={"Accept": "text/event-stream"} | headers
        )
        self.response = self._context.__enter__()
        self._lines = self._iter_lines()
        self.last_id = ""

    def _iter_lines(self):
        # httpx ends lines at U+2028, too.
        rest = b""
        for data in self.response.iter_bytes():
            *lines, rest = (rest + data).split(b"\n")
            yield from (line.decode() for line in lines)

    def read(self):
        """Return the next frame; None at the end."""
        for line in self._lines:
            if line.startswith("id: "):
                self.last_id = line[4:]
            elif line.startswith("data: "):
                return json.loads(line[6:])
        return None

    def read_until(self, kind):
        """Return the first frame of a type."""
        while (frame := self.read()) is not None:
            if frame.get("type") == kind:
                return frame
        raise AssertionError(f"no frame {kind!r}")

    def close(self):
        self._context.__exit__(None, None, None)
        self._client.close()


@pytest.fixture
def open_page(request):
    """Return a function that opens a page; pages are closed before the site ends."""
    request.getfixturevalue("federation")
    pages = []

    def open_page(*arguments, **headers):
        pages.append(Page(*arguments, **headers))
        return pages[-1]

    yield open_page
    for page in pages:
        page.close()
