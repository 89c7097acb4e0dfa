from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from continuum_upstash.emulator.process import running
from tests.browser.panel_pages import Panel, Visitor

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


# Not session-scoped: while Playwright's sync API is open, its thread has a running event loop, and
# asyncio.run() would fail in later tests of this process.
@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        pytest.skip("no chromium on the PATH")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def start_server():
    """Return a function that returns an emulator; it starts another one if a test killed it."""
    with ExitStack() as stack:
        started = []

        def start():
            if not started or started[-1].process.poll() is not None:
                started.append(stack.enter_context(running()))
            return started[-1]

        yield start


@pytest.fixture
def server(start_server):
    """An empty emulator, which the test may kill."""
    emulator = start_server()
    emulator.reset()
    return emulator


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """The process that forks a site for each test."""
    names = re.compile(r"(.*_)?(UPSTASH|KV|CONTINUUM|DJANGO)_|REDIS_URL")
    environment = {name: value for name, value in os.environ.items() if not names.match(name)}
    folder = tmp_path_factory.mktemp("sites")
    command = [sys.executable, "-m", "tests.browser.panel_site", str(folder)]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        yield process
        process.terminate()


@pytest.fixture
def site(server, sites):
    """The URL of a site of its own."""
    variables = {
        "UPSTASH_REDIS_REST_URL": server.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": server.token,
    }
    sites.stdin.write(json.dumps(variables) + "\n")
    sites.stdin.flush()
    url, number = sites.stdout.readline().split()
    yield url
    os.kill(int(number), signal.SIGTERM)


@pytest.fixture
def visit(chromium, site):
    """Return a function that logs a user in and returns the panel."""
    visitors = []

    def open_panel(name="operator", **emulation):
        visitor = Visitor(chromium.new_context(base_url=site, **emulation))
        visitors.append(visitor)
        visitor.log_in(name)
        return Panel(visitor)

    yield open_panel
    for visitor in visitors:
        visitor.close()
