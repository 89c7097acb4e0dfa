"""The key browser in a browser: hostile keys and values, themes, a phone, and no JavaScript."""

from __future__ import annotations

import pytest

from continuum_upstash import UpstashCache
from continuum_upstash.backend import CacheBackend
from tests.browser.test_panel import PHONE, needs_axe

HOSTILE_KEYS = {
    "markup:<img src=x onerror=alert(1)>": "<script>alert(document.domain)</script>",
    "ansi:\x1b[31mred": "\x1b]0;title\x07\x1b[2J",
    "bidi:\u202egnp.exe": "abc\u202edef\u2066ghi",
    "rtl:שלום": "שלום עולם",
    "quote:\"'&amp;": "\"'&amp;</pre>",
    "empty:": "",
    "null:\0": "\0\0\0",
    "long:" + "x" * 1_500: "v" * 1_000_000,
    "newline:a\nb\tc": "one\ntwo\tthree",
}


@pytest.fixture
def redis(server):
    with UpstashCache(rest_url=server.rest_url, rest_token=server.token) as cache:
        yield cache.redis


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


@needs_axe
@pytest.mark.parametrize(
    ("scheme", "viewport"),
    [("light", {"width": 1280, "height": 800}), ("dark", PHONE)],
    ids=["wide-light", "phone-dark"],
)
def test_pages_are_accessible_in_every_theme_and_width(scheme, viewport, visit, keys):
    panel = visit("editor", color_scheme=scheme, viewport=viewport)
    name = f"{viewport['width']}-{scheme}"
    for title, open_page in {
        "keys": lambda: panel.open_keys(details=1),
        "key": lambda: panel.open_key("report:2026-11").open_details(),
        "key-tags": lambda: panel.open_key("article:7"),
        "key-hash": lambda: panel.open_key("basket:42"),
        "key-hidden": lambda: panel.open_key("api-token:ada"),
        "delete-pattern": lambda: panel.page.goto(
            "admin/continuum_upstash_panel/cachekey/default/delete-pattern/?q=query:*"
        ),
    }.items():
        open_page()
        panel.save_screenshot(f"{title}-{name}")
        assert panel.find_violations() == []
        assert panel.measure_overflow() == 0
    assert panel.visitor.errors == []
