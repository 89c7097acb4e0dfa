"""The site of some stages of the tutorial, in a browser: copy the pictures from ARTIFACTS."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial

import pytest
from playwright.sync_api import expect

from benchmarks import tutorial
from tests.browser.panel_pages import ARTIFACTS

pytestmark = pytest.mark.slow

WINDOW = {"width": 640, "height": 420}
TOOLBAR_WIDTH = 1080  # of its table, beside a menu of 240
PICTURES = 7
TOOLBAR = """
INSTALLED_APPS += ["debug_toolbar"]
MIDDLEWARE.insert(0, "debug_toolbar.middleware.DebugToolbarMiddleware")
INTERNAL_IPS = ["127.0.0.1"]
DEBUG_TOOLBAR_PANELS = ["continuum_upstash.stats.toolbar.UpstashPanel"]
"""
TOOLBAR_URLS = """
from django.urls import include
urlpatterns += [path("__debug__/", include("debug_toolbar.urls"))]
"""


@pytest.fixture(scope="module")
def first_stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    tutorial.start_project(folder)
    return folder


@contextmanager
def run_site(first_stage, folder, server, stage, toolbar=False):
    """Build the site of a stage in a new folder, and run it; yields its URL and a shell."""
    folder = folder / f"stage-{stage}"
    tutorial.build_stage(first_stage, stage, folder)
    if toolbar:
        for name, code in (("settings.py", TOOLBAR), ("urls.py", TOOLBAR_URLS)):
            with (folder / "mysite" / name).open("a") as file:
                file.write(code)
    names = re.compile(r"(.*_)?(UPSTASH|KV|DJANGO)_|REDIS_URL")
    environment = {name: value for name, value in os.environ.items() if not names.match(name)}
    environment |= {
        "UPSTASH_REDIS_REST_URL": server.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": server.token,
    }
    manage = partial(subprocess.Popen, cwd=folder, env=environment)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    with (
        (folder / "log").open("w") as log,
        manage(command, stdout=log, stderr=log) as process,
    ):
        wait_for(port, process)
        yield (
            f"http://127.0.0.1:{port}/",
            lambda code: manage([sys.executable, "manage.py", "shell", "-c", code]).wait(),
        )
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


ORDER = """
from datetime import date
from shop.models import Order
Order.objects.create(product_id=1, day=date(2026, 7, 20), units=100)
"""


# Stage 2: the second request. Stage 4: the request that computes.
@pytest.mark.parametrize(("stage", "requests", "commands"), [(2, 2, 1), (4, 1, 5)])
def test_the_toolbar_shows_the_commands(
    stage, requests, commands, first_stage, chromium, server, tmp_path
):
    with run_site(first_stage, tmp_path, server, stage, toolbar=True) as (url, _):
        page = chromium.new_page(viewport=WINDOW | {"width": TOOLBAR_WIDTH + 240})
        for _ in range(requests):
            page.goto(url)
        page.locator("#djDebug .UpstashPanel").click()
        panel = page.locator("#djDebug #UpstashPanel")
        expect(panel.locator("tbody").first).to_be_visible()
        expect(panel.locator("tbody tr")).to_have_count(commands)
        ARTIFACTS.mkdir(exist_ok=True)
        table = panel.locator("table").bounding_box()
        clip = {"x": 0, "y": 0, "width": TOOLBAR_WIDTH, "height": table["y"] + table["height"] + 20}
        page.screenshot(path=ARTIFACTS / f"tutorial-commands-{stage}.png", clip=clip)
        page.close()


def test_an_order_is_on_the_page_at_once(first_stage, chromium, server, tmp_path):
    with run_site(first_stage, tmp_path, server, 3) as (url, run_in_shell):
        page = chromium.new_page(viewport=WINDOW)
        ARTIFACTS.mkdir(exist_ok=True)
        best = page.get_by_role("cell", name="Product").first
        page.goto(url)
        expect(best).to_have_text("Product 20")
        page.screenshot(path=ARTIFACTS / "tutorial-page.png")
        assert run_in_shell(ORDER) == 0
        page.reload()
        expect(best).to_have_text("Product 1")
        page.screenshot(path=ARTIFACTS / "tutorial-order.png")
        page.close()


def test_a_visitor_fills_a_basket_until_the_limit_and_sees_an_outage(
    first_stage, chromium, server, tmp_path
):
    with run_site(first_stage, tmp_path, server, 6) as (url, _):
        fill_basket(chromium.new_context(base_url=url, viewport=WINDOW), server)


def fill_basket(context, server):
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
    tables = [name for name in names if "commands" in name]
    names += [f"{name.removesuffix('.png')}-dark.png" for name in names[-2:]]
    for name in names:
        content = (tutorial.PAGE.parent / "images" / name).read_bytes()
        width, height = struct.unpack(">II", content[16:24])
        assert width == (TOOLBAR_WIDTH if name in tables else WINDOW["width"])
        assert height == WINDOW["height"] or name in tables
        assert len(content) <= 60_000
