"""The site of the tutorial's sixth stage, in a browser: copy its pictures from ARTIFACTS."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import sys
import time

import pytest
from playwright.sync_api import expect

from benchmarks import tutorial
from tests.browser.panel_pages import ARTIFACTS

pytestmark = pytest.mark.slow

WINDOW = {"width": 640, "height": 420}
PICTURES = 3


@pytest.fixture
def site(server, tmp_path):
    tutorial.start_project(tmp_path)
    for stage in range(2, 7):
        tutorial.add_stage(tmp_path, stage)
    names = re.compile(r"(.*_)?(UPSTASH|KV|DJANGO)_|REDIS_URL")
    environment = {name: value for name, value in os.environ.items() if not names.match(name)}
    environment |= {
        "UPSTASH_REDIS_REST_URL": server.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": server.token,
    }
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log) as process,
    ):
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}/"
        process.terminate()


def wait_for(port, process):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("runserver did not start")


def save_in_both_themes(page, name):
    for scheme, suffix in (("dark", "-dark"), ("light", "")):
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=ARTIFACTS / f"{name}{suffix}.png")


def test_a_visitor_fills_a_basket_until_the_limit_and_sees_an_outage(chromium, site, server):
    context = chromium.new_context(base_url=site, viewport=WINDOW)
    page = context.new_page()
    ARTIFACTS.mkdir(exist_ok=True)
    page.goto("/")
    for number in range(1, 6):
        page.get_by_role("button", name="Add").first.click()
        expect(page.get_by_text(re.compile(rf"^Basket: {number}\b"))).to_be_visible()
        if number == 2:
            page.screenshot(path=ARTIFACTS / "tutorial.png")
    with page.expect_response("**/add/**") as refused:
        page.get_by_role("button", name="Add").first.click()
    assert refused.value.status == 429
    expect(page.get_by_role("heading", name="Too many requests")).to_be_visible()
    save_in_both_themes(page, "tutorial-limit")
    server.process.kill()
    for _ in range(4):  # the first requests of the outage
        assert page.goto("/").status == 503
    expect(page.get_by_text("You have not been logged out.")).to_be_visible()
    save_in_both_themes(page, "tutorial-outage")
    context.close()


def test_the_pictures_of_the_tutorial_have_the_size_of_the_window():
    text = tutorial.PAGE.read_text()
    names = re.findall(r"\(images/(tutorial[\w-]*\.png)\)", text)
    assert len(names) == len(set(names)) == PICTURES
    names += [f"{name.removesuffix('.png')}-dark.png" for name in names[1:]]
    for name in names:
        content = (tutorial.PAGE.parent / "images" / name).read_bytes()
        assert struct.unpack(">II", content[16:24]) == (WINDOW["width"], WINDOW["height"])
        assert len(content) <= 60_000
