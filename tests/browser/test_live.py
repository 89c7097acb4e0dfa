"""Live pages in a browser: the example site's, and the React hook of the npm @upstash/realtime.

Their packages are installed by `npm ci --prefix tests/browser/npm`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.cache import caches
from playwright.sync_api import expect

from continuum_upstash.federation import Channel
from continuum_upstash.transports import registry
from tests.integration.cache_entries import make_entry
from tests.ports import find_free_port
from tests.project.demo_process import start_demo

ROOT = Path(__file__).parents[2]
NPM = Path(__file__).parent / "npm"
node = shutil.which("node")

needs_npm = pytest.mark.skipif(
    node is None or not (NPM / "node_modules" / "@upstash").exists(),
    reason="node or the packages are not installed: npm ci --prefix tests/browser/npm",
)

EMIT = """
import { Realtime } from "@upstash/realtime";
import { Redis } from "@upstash/redis";
const realtime = new Realtime({ redis: Redis.fromEnv() });
await realtime.channel(process.argv[1]).emit(process.argv[2], JSON.parse(process.argv[3]));
"""


@pytest.fixture
def room(server, settings):
    """The channel that the page reads, as this process publishes to it."""
    settings.CACHES = {
        "default": make_entry(server, "rest"),
        "federation": make_entry(server, "rest"),
    }
    yield Channel("room")
    caches["federation"].database.close()
    registry.reset()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    command = ("esbuild", "hook.jsx", "--bundle", "--minify", "--jsx=automatic")
    options = (f"--outfile={folder}/hook.js", '--define:process.env.NODE_ENV="production"')
    esbuild = NPM / "node_modules" / ".bin" / command[0]
    subprocess.run([esbuild, *command[1:], *options], cwd=NPM, check=True, capture_output=True)
    return folder


def make_environment(server):
    return os.environ | {
        "UPSTASH_REDIS_REST_URL": server.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": server.token,
    }


@contextmanager
def serve(server, port, folder):
    command = [sys.executable, "-m", "tests.browser.live_site", str(port), str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, env=make_environment(server))
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def emit(server, channel, event, data):
    """Publish an event by the package itself."""
    subprocess.run(
        [node, "--input-type=module", "-e", EMIT, channel, event, json.dumps(data)],
        cwd=NPM,
        env=make_environment(server),
        check=True,
        timeout=30,
    )


def open_hook(chromium, port):
    page = chromium.new_page()
    for _ in range(200):
        try:
            page.goto(f"http://127.0.0.1:{port}/")
            break
        except Exception:
            page.wait_for_timeout(50)
    expect(page.locator("#status")).to_have_text("connected")
    return page


def expect_events(page, *expected):
    expect(page.locator("li")).to_have_count(len(expected), timeout=20_000)
    received = [json.loads(text) for text in page.locator("li").all_text_contents()]
    assert [(each["channel"], each["event"], each["data"]) for each in received] == list(expected)


@needs_npm
def test_the_react_hook_receives_each_event_once_in_spite_of_a_restart(
    chromium, server, room, bundle
):
    port = find_free_port()
    with serve(server, port, bundle):
        tabs = [open_hook(chromium, port) for _ in range(2)]
        room.publish("chat.message", "123")
        expected = [("room", "chat.message", "123")]
        for tab in tabs:
            expect_events(tab, *expected)
        emit(server, "room 2", "note", {"from": "JavaScript"})
        expected.append(("room 2", "note", {"from": "JavaScript"}))
        for tab in tabs:
            expect_events(tab, *expected)
    assert Channel("room 2").history()[0].data == {"from": "JavaScript"}
    for number in range(3):  # missed, while there is no server
        room.publish("chat.message", number)
        expected.append(("room", "chat.message", number))
    with serve(server, port, bundle):
        for tab in tabs:
            expect_events(tab, *expected)
        room.publish("chat.message", None)
        expected.append(("room", "chat.message", None))
        for tab in tabs:
            expect_events(tab, *expected)
            tab.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with start_demo(tmp_path_factory.mktemp("demo")) as running:
        yield running.url


def test_the_live_page_shows_what_happens_in_another_tab(chromium, demo):
    context = chromium.new_context(base_url=demo)
    live, other = context.new_page(), context.new_page()
    problems = []
    live.on("console", lambda message: problems.append(message.text))
    live.goto("live/")
    expect(live.locator("#connection")).to_have_text("open")
    other.goto("counter/")
    expect(live.locator("#events")).to_contain_text("/counter/ was visited")
    live.get_by_role("button", name="Say hello").click()
    expect(live.locator("#events")).to_contain_text("Hello from a visitor")
    for _ in range(11):
        other.goto("limits/api/")
    expect(live.locator("#events")).to_contain_text("The rate limit “api” refused a request")
    assert problems == []
    context.close()
