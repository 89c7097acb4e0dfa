from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
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


@pytest.fixture
def server():
    """An emulator for one test, which may kill it."""
    with running() as emulator:
        yield emulator


@pytest.fixture
def site(server, tmp_path):
    names = re.compile(r"(.*_)?(UPSTASH|KV|CONTINUUM|DJANGO)_|REDIS_URL")
    environment = {name: value for name, value in os.environ.items() if not names.match(name)} | {
        "UPSTASH_REDIS_REST_URL": server.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": server.token,
    }
    command = [sys.executable, "-m", "tests.browser.panel_site", str(tmp_path)]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


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
