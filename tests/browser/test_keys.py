"""The key browser in a browser: hostile keys and values, themes, a phone, and no JavaScript."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from continuum_upstash import UpstashCache
from continuum_upstash.backend import CacheBackend
from tests.browser.test_panel import PHONE, needs_axe

HOSTILE = {
    "markup:<img src=x onerror=alert(1)>": "<script>alert(document.domain)</script>",
    "ansi:\x1b[31mred": "\x1b]0;title\x07\x1b[2J",
    "bidi:\u202egnp.exe": "abc\u202edef\u2066ghi",
    "rtl:שלום": "שלום עולם",
    "quotes:\"'&amp;": "\"'&amp;</pre>",
    "empty:": "",
    "null:\0": "\0\0\0",
    "long:" + "x" * 1_500: "v" * 1_000_000,
    "lines:a\nb\tc": "one\ntwo\tthree",
}


@pytest.fixture
def keys(server):
    """A cache with keys of every type, as a site writes them."""
    cache = CacheBackend(
        server.rest_url, {"KEY_PREFIX": "shop", "OPTIONS": {"TOKEN": server.token}}
    )
    cache.set_many({f"query:product:{number}": {"id": number} for number in range(6)}, 300)
    cache.set_many({f"page:/news/{number}/": "<h1>News</h1>" * 40 for number in range(3)}, 3600)
    cache.set("report:2026-11", {"rows": [1, 2.5, "three"], "total": 6.5, "of": {"a", "b"}}, None)
    cache.set("article:7", {"title": "What we learned"}, 600, tags=["articles", "home"])
    cache.hset("basket:42", mapping={"tea": 2, "milk": 1})
    cache.rpush("recent", "article:7", "article:9")
    cache.sadd("online", "ada", "bruno")
    cache.zadd("board", {"ada": 120.0, "bruno": 95.5})
    cache.set("api-token:ada", "hunter2", 60)
    yield cache
    cache.database.close()


PATTERN = "admin/continuum_upstash_panel/cachekey/default/delete-pattern/?q=query:*"
OPENERS = {
    "keys": lambda panel: panel.open_keys(details=1),
    "key": lambda panel: panel.open_key("report:2026-11").open_details(),
    "key-tags": lambda panel: panel.open_key("article:7"),
    "key-hash": lambda panel: panel.open_key("basket:42"),
    "key-hidden": lambda panel: panel.open_key("api-token:ada"),
    "delete-pattern": lambda panel: panel.page.goto(PATTERN),
}


@needs_axe
@pytest.mark.parametrize(
    ("scheme", "names"),
    [
        ("light", ("keys", "key-tags")),
        ("light", ("key", "key-hidden")),
        ("dark", ("keys", "key-hash")),
        ("dark", ("key", "delete-pattern")),
    ],
)
def test_pages_are_accessible_in_every_theme_and_width(scheme, names, visit, keys):
    viewport = PHONE if scheme == "dark" else {"width": 1280, "height": 800}
    panel = visit("editor", color_scheme=scheme, viewport=viewport)
    for name in names:
        OPENERS[name](panel)
        panel.save_screenshot(f"{name}-{viewport['width']}-{scheme}")
        assert panel.find_violations() == []
        assert panel.measure_overflow() == 0
    assert panel.visitor.errors == []


@pytest.fixture
def hostile(server):
    with UpstashCache(rest_url=server.rest_url, rest_token=server.token) as cache:
        for key, value in HOSTILE.items():
            cache.redis.set(f"shop:1:{key}", value)
        cache.redis.rpush("shop:1:list:<b>", "<script>", "\x1b[2J")


def test_hostile_keys_and_values_are_text(visit, hostile):
    panel = visit("editor", viewport=PHONE).open_keys(details=1)
    panel.save_screenshot("keys-hostile")
    expect(panel.page.locator("th.ck-key")).to_have_count(len(HOSTILE) + 1)
    assert panel.measure_overflow() == 0
    links = panel.page.locator("th.ck-key a").evaluate_all("all => all.map(link => link.href)")
    for link in links:
        panel.page.goto(link)
        expect(panel.page.locator(".ck-type")).to_be_visible()
        assert panel.measure_overflow() == 0
    assert panel.visitor.errors == []


def test_what_a_terminal_or_a_reader_would_not_see_is_marked(visit, hostile):
    panel = visit("editor")
    for key, shown, marks in (
        ("ansi:\x1b[31mred", "\\x1b]0;title\\x07\\x1b[2J", 2),
        ("bidi:\u202egnp.exe", "abc\\u202edef\\u2066ghi", 2),
        ("null:\0", "\\x00\\x00\\x00", 1),
        ("markup:<img src=x onerror=alert(1)>", "<script>alert(document.domain)</script>", 0),
        ("lines:a\nb\tc", "one\ntwo\tthree", 0),
    ):
        panel.open_key(key)
        text = panel.page.locator("pre.ck-text")
        assert text.text_content() == shown
        expect(text.locator(".ck-mark")).to_have_count(marks)
        panel.save_screenshot(f"key-{key.partition(':')[0]}")
    panel.open_key("long:" + "x" * 1_500)
    expect(panel.page.get_by_text("Only the first 10.0 KB of 976.6 KB were read.")).to_be_visible()
    panel.open_key("empty:")
    expect(panel.page.get_by_text("The value is empty.")).to_be_visible()


def test_everything_works_without_javascript(visit, keys):
    panel = visit("editor", java_script_enabled=False).open_keys()
    page = panel.page
    page.get_by_role("link", name="Show type, expiry and size").click()
    expect(page.locator("tr", has_text="basket:42")).to_contain_text("never")
    page.get_by_label("Key or pattern").fill("query:product:1")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tr", has_text="query:product:1")).to_contain_text("exact")
    page.get_by_role("link", name="query:product:1").click()
    page.get_by_label("Expires in").fill("2")
    page.get_by_label("Unit").select_option("days")
    page.get_by_role("button", name="Set").click()
    expect(panel.message).to_contain_text("expires in 2 d 0 h")
    page.get_by_role("button", name="Never").click()
    expect(panel.message).to_contain_text("never expires")
    page.get_by_role("link", name="Delete…").click()
    panel.confirm()
    expect(panel.message).to_contain_text("1 key deleted.")
    page.get_by_role("link", name="page: (3)").click()
    page.get_by_role("checkbox", name="Select page:/news/0/").check()
    page.get_by_role("button", name="Delete selected keys…").click()
    panel.confirm()
    expect(panel.message).to_contain_text("1 key deleted.")
    page.get_by_role("link", name="Delete all that match…").click()
    expect(page.get_by_text("2 keys will be deleted")).to_be_visible()
    panel.confirm()
    expect(panel.message).to_contain_text("2 keys deleted.")
    assert keys.get_many(["query:product:1", "page:/news/1/", "page:/news/2/"]) == {}


def test_a_hidden_value_is_shown_on_request(visit, keys):
    panel = visit("editor").open_keys()
    panel.page.get_by_role("link", name="Show them").click()
    panel.page.get_by_role("link", name="api-token:ada").click()
    expect(panel.page.get_by_text("hunter2")).to_have_count(0)
    panel.page.get_by_role("button", name="Show the value").click()
    expect(panel.page.get_by_role("region", name="Value as text")).to_have_text("hunter2")
    assert panel.visitor.errors == []


def test_in_a_right_to_left_admin_keys_run_from_left_to_right(visit, keys):
    panel = visit("editor")
    cookie = {"name": "django_language", "value": "he", "url": panel.page.url}
    panel.page.context.add_cookies([cookie])
    for name, open_page in (
        ("keys-he", lambda: panel.open_keys(details=1)),
        ("key-he", lambda: panel.open_key("report:2026-11")),
    ):
        open_page()
        expect(panel.page.locator("html")).to_have_attribute("dir", "rtl")
        directions = panel.page.locator("#content code").evaluate_all(
            "all => all.map(each => getComputedStyle(each).direction)"
        )
        assert set(directions) == {"ltr"}
        panel.save_screenshot(name)
        assert panel.measure_overflow() == 0


def test_an_outage_is_shown_and_no_page_fails(visit, keys, server):
    panel = visit("editor").open_keys()
    server.process.kill()
    for _ in range(4):
        panel.open_keys()
        expect(panel.page.get_by_text("The database did not reply to this page")).to_be_visible()
    expect(panel.page.get_by_text("circuit breaker open")).to_be_visible()
    panel.save_screenshot("keys-outage")


def test_hostile_keys_can_be_deleted(visit, hostile):
    panel = visit("editor").open_keys()
    for box in panel.page.locator("input[name=key]").all():
        box.check()
    panel.page.get_by_role("button", name="Delete selected keys…").click()
    panel.save_screenshot("confirm-hostile")
    panel.confirm()
    expect(panel.message).to_contain_text(f"{len(HOSTILE) + 1} keys deleted.")
    expect(panel.page.get_by_text("This cache contains no keys.")).to_be_visible()
