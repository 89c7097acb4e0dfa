"""The key browser: permissions, what it lists, what it shows and hides, and its price."""

from __future__ import annotations

import re

import pytest
from django.core.cache import cache, caches

from continuum_upstash.panel.key_browser.search import MAX_SCANS
from continuum_upstash.plans.effects import call
from tests.integration.panel.panel_site import HOME, KEYS, keys_page, page

PAGES = [
    keys_page(),
    keys_page(q="query:*", details=1),
    keys_page("key", key="query:1"),
    keys_page("history"),
]
CHANGES = [
    keys_page("expiry", key="query:1"),
    keys_page("delete-keys", key="query:1"),
    keys_page("delete-pattern", q="query:*"),
]


class Trap:
    """A value whose pickle runs code when it is loaded."""

    loaded = 0

    def __reduce__(self):
        return spring, ()


def spring():
    Trap.loaded += 1
    return Trap()


# ---- permissions


@pytest.mark.parametrize("path", [KEYS, *PAGES, *CHANGES])
@pytest.mark.parametrize("who", ["stranger", "operator"])
def test_staff_without_the_permission_get_403(who, path, panel, visit):
    assert visit(path, who).status == 403


def test_only_users_with_the_permission_see_a_link(panel, visit):
    assert KEYS in visit("/admin/", "browser").links
    assert KEYS not in visit("/admin/", "operator").links
    assert keys_page() in visit(page(), "superuser").links
    assert keys_page() not in visit(page(), "operator").links
    assert HOME + "default/change/" not in visit(keys_page(), "browser").links


@pytest.mark.parametrize("path", CHANGES)
def test_changes_need_a_permission_of_their_own(path, panel, visit, client):
    cache.set("query:1", 1)
    assert visit(path, "reader").status == 403
    assert client.post(path, {"key": "query:1", "never": 1, "confirm": 1}).status_code == 403
    assert cache.get("query:1") == 1


def test_values_need_a_permission_of_their_own(panel, visit, emulator):
    cache.set("query:1", "a value")
    with emulator.count() as spent:
        seen = visit(keys_page("key", key="query:1"), "browser")
    assert "a value" not in seen.html
    assert "the permission “Can view cache values” is missing" in seen.text
    assert spent.billed == 3  # the value is not even read
    assert "a value" in visit(keys_page("key", key="query:1"), "reader").text


@pytest.mark.parametrize("path", [keys_page(raw=1), keys_page("key", key="x", raw=1)])
def test_full_redis_keys_are_for_superusers(path, panel, visit):
    assert visit(path, "editor").status == 403
    assert visit(path, "superuser").status == 200


def test_hidden_keys_are_not_shown_without_the_permission_for_values(panel, visit):
    assert visit(keys_page(hidden=1), "browser").status == 403


# ---- the list


@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
def test_keys_are_listed_in_djangos_form(transport, configure_panel, visit, emulator):
    configure_panel(transport)
    cache.set_many({f"query:{number}": number for number in (2, 10)}, 90)
    cache.hset("basket", "tea", 1)
    with emulator.count() as spent:
        seen = visit(keys_page(details=1), "browser")
    assert "basket hash never" in seen.text
    assert seen.text.index("query:2 string") < seen.text.index("query:10 string")
    assert seen.text.count("90 s") == 2
    assert "Looked at all 3 keys of the database, 1 command." in seen.text
    billed = 0 if transport == "local" else 1 + 3 * 3
    assert spent.billed == billed
    assert f"This page cost {billed} billed commands" in seen.text


def test_a_page_of_a_large_database_costs_at_most_five_scans(panel, visit, emulator):
    cache.set_many({f"query:{number}": 1 for number in range(6_500)}, None)
    cache.set("needle:1", 1)
    with emulator.count() as spent:
        first = visit(keys_page(q="absent:*"), "browser")
    assert spent.billed == MAX_SCANS
    assert "Looked at 4,100 of about 6,501 keys, 5 commands." in first.text
    assert "No key among those that were looked at." in first.text
    (more,) = {link for link in first.links if link and "cursor=" in link}
    with emulator.count() as spent:
        second = visit(keys_page() + more, "browser")
    assert "Looked at all 6,501 keys of the database, 8 commands." in second.text
    assert "No key matches." in second.text
    assert spent.billed == 3


def test_a_page_of_many_matching_keys_ends_early(panel, visit, emulator):
    cache.set_many({f"query:{number}": 1 for number in range(1_000)}, None)
    with emulator.count() as spent:
        seen = visit(keys_page(), "browser")
    assert spent.billed <= 2
    assert 100 <= seen.html.count("ck-key") <= 250
    found, path = set(), keys_page()
    while path:
        seen = visit(path, "browser")
        found |= set(re.findall(r">(query:\d+)<", seen.html))
        following = [
            link for link in seen.links if link and "cursor=" in link and "det" not in link
        ]
        path = keys_page() + following[0] if following else None
    assert len(found) == 1_000


@pytest.mark.parametrize("cursor", ["12", "0", "x" * 3000, "18446744073709551616", "a:b"])
def test_a_cursor_that_was_not_signed_is_not_used(cursor, panel, visit):
    cache.set("query:1", 1)
    seen = visit(keys_page(cursor=cursor), "browser")
    assert seen.status == 200
    assert "The position in this link is not valid" in seen.text
    assert "query:1" in seen.text


def test_the_exact_key_is_found_first(panel, visit, emulator):
    cache.set_many({"query:1": 1, "query:10": 1, "page[1]": 1}, None)
    with emulator.count() as spent:
        seen = visit(keys_page(q="query:1"), "browser")
    assert spent.billed == 1
    assert "query:1 exact" in seen.text
    assert "query:10" not in seen.text
    assert "page[1] exact" in visit(keys_page(q="page[1]"), "browser").text
    assert "query:10" in visit(keys_page(q="query:1?"), "browser").text


def test_families_are_filters(panel, visit):
    cache.set_many({"query:1": 1, "page:[x]:1": 1})
    seen = visit(keys_page(), "browser")
    assert "query: (1)" in seen.text
    assert "?q=query%3A%2A" in seen.links


def test_a_superuser_can_list_the_whole_database(panel, visit):
    redis = caches["default"].client.redis
    redis.set("other:program", "1")
    redis.set("continuum:session:shop:0123456789abcdef", "1")
    seen = visit(keys_page(raw=1), "superuser")
    assert "other:program" in seen.text
    assert "continuum:session:•••••••• protected: session" in seen.text
    assert "0123456789abcdef" not in seen.html
    assert "other:program" not in visit(keys_page(), "superuser").text
    opened = visit(
        keys_page("key", key="continuum:session:shop:0123456789abcdef", raw=1), "superuser"
    )
    assert "This key is protected (session)" in opened.text
    assert "0123456789abcdef" not in opened.text


def test_a_session_of_django_in_the_cache_is_masked(panel, visit):
    name = "django.contrib.sessions.cacheabcdefghijklmnop"
    cache.set(name, {"_auth_user_id": "7"})
    for path in (keys_page(), keys_page(q=name), keys_page(hidden=1)):
        seen = visit(path, "reader")
        assert re.search("django.contrib.sessions.••••••••( exact)? protected: session", seen.text)
        assert not any("abcdefghijklmnop" in link for link in seen.links if "cachekey/" in link)
    opened = visit(keys_page("key", key=name), "superuser")
    assert "_auth_user_id" not in opened.text
    assert visit(keys_page("delete-keys", key=name), "superuser").status == 403


def test_keys_with_hidden_words_are_masked_by_default(panel, visit):
    cache.set("reset-token:s3cr3t", 1)
    for who in ("browser", "editor"):
        seen = visit(keys_page(), who)
        assert "reset-token:•••••••• hidden" in seen.text
        assert "s3cr3t" not in seen.html
    assert "reset-token:s3cr3t" in visit(keys_page(hidden=1), "editor").text


@pytest.mark.parametrize("q", ["{0}{1}", "{0}{1}*", "*{1}*", "?{1}*", "[{0}]{1}*"])
def test_a_hidden_part_cannot_be_guessed_by_searching(q, panel, visit):
    cache.set("django.contrib.sessions.cacheabcdefghijklmnop", 1)
    cache.set("reset-token:s3cr3t", 1)
    for first, rest in (("r", "eset-token:s3"), ("d", "jango.contrib.sessions.cacheabc")):
        seen = visit(keys_page(q=q.format(first, rest)), "editor")
        assert "••••" not in seen.html
        assert "(1)" not in seen.text  # among the families
    for beginning in ("reset-", "django.contrib."):
        assert "••••" in visit(keys_page(q=f"{beginning}*"), "browser").html


@pytest.mark.filterwarnings("ignore::django.core.cache.CacheKeyWarning")
def test_a_key_that_is_too_long_or_not_text_has_no_page(configure_panel, visit):
    configure_panel("tcp")
    cache.set("long:" + "x" * 3000, 1)
    cache.run(call("SET", b"other:\xff\x00", b"1"))
    seen = visit(keys_page(raw=1), "superuser")
    assert "has no page" in seen.text
    assert "other:\\xff \\x00 not text" in seen.text
    assert len(seen.html) < 20_000


# ---- one key


@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
def test_every_type_is_shown_for_its_price(transport, configure_panel, visit, emulator):
    configure_panel(transport)
    cache.set("text", "plain text", 60)
    cache.set("dict", {"a": (1, 2.5)}, None)
    cache.set("number", 7)
    cache.set("empty", "")
    cache.set("tagged", "fresh", 60, tags=["news"])
    cache.hset("hash", mapping={"tea": 2})
    cache.rpush("list", "first", "second")
    cache.sadd("set", "ada")
    cache.zadd("zset", {"ada": 1.5})
    expected = {
        "text": (4, "string Expires in 60 s Size 11 bytes Format msgpack, str"),
        "dict": (4, "'a': ( 1, 2.5, )"),
        "number": (4, "Format number"),
        "empty": (4, "The value is empty."),
        "tagged": (5, "news valid"),
        "hash": (5, "Field Value tea 2"),
        "list": (5, "Index Value 0 first 1 second"),
        "set": (5, "Value ada"),
        "zset": (5, "Score Value 1.5 ada"),
        "gone": (2, "This key does not exist"),
    }
    for key, (billed, text) in expected.items():
        with emulator.count() as spent:
            seen = visit(keys_page("key", key=key), "reader")
        assert text in seen.text, key
        assert spent.billed == (0 if transport == "local" else billed), key
        assert f"This page cost {spent.billed} billed command" in seen.text


def test_a_deleted_tag_is_shown_as_such(panel, visit):
    cache.set("tagged", "fresh", 60, tags=["news"])
    cache.delete_tags("news")
    assert "news deleted" in visit(keys_page("key", key="tagged"), "reader").text


def test_a_large_value_is_not_fetched(panel, visit, emulator):
    cache.set("large", "x" * 2_000_000)
    cache.rpush("list", *("y" * 300_000 for _ in range(8)))
    with emulator.count() as spent:
        seen = visit(keys_page("key", key="large"), "reader")
        elements = visit(keys_page("key", key="list"), "reader")
    assert "Only the first 10.0 KB of 1.9 MB were read." in seen.text
    assert "The elements are too large to be read here." in elements.text
    assert 0 < spent.bytes_sent < 40_000


@pytest.mark.parametrize("transport", ["rest", "local"])
def test_a_pickle_is_never_loaded(transport, configure_panel, visit):
    configure_panel(transport, COMPRESS_MIN_BYTES=100)
    Trap.loaded = 0
    cache.set("trap", Trap())
    cache.set("compressed", [Trap(), "x" * 5000])
    for key in ("trap", "compressed"):
        seen = visit(keys_page("key", key=key), "reader")
        assert "signed pickle" in seen.text
        assert "Pickles are never loaded." in seen.text
    assert Trap.loaded == 0
    assert isinstance(cache.get("trap"), Trap)
    assert Trap.loaded == 1


def test_a_hidden_value_is_shown_on_request_and_recorded(panel, visit, client):
    cache.set("user:7", {"name": "ada", "password": "hunter2"})
    cache.set("token:7", "plain")
    for key, hidden in (("user:7", "hunter2"), ("token:7", "plain")):
        path = keys_page("key", key=key)
        seen = visit(path, "reader")
        assert hidden not in seen.html
        assert "70 6c 61 69 6e" not in seen.html
        assert "The value is hidden by default." in seen.text
        shown = client.post(path, {"key": key})
        assert hidden in shown.content.decode()
    history = visit(keys_page("history"), "reader").text
    assert "Viewed the value of “user:7”." in history
    assert "Viewed the value of “token:••••••••”." in history
    assert visit(keys_page("key", key="user:7"), "browser").status == 200
    assert client.post(keys_page("key"), {"key": "user:7"}).status_code == 403


def test_the_token_of_a_lock_is_hidden(panel, visit):
    with cache.lock("report"):
        seen = visit(keys_page("key", key="report"), "reader")
    assert "looks like the token of a lock" in seen.text


# ---- failures


@pytest.mark.parametrize("path", [*PAGES, *CHANGES])
@pytest.mark.parametrize("fallback", [True, False])
def test_no_page_fails_while_the_service_is_down(path, fallback, configure_panel, visit, emulator):
    configure_panel(FALLBACK=fallback)
    with emulator.fault("refuse"):
        for _ in range(4):  # before and after the breaker opens
            seen = visit(path, "editor")
            assert seen.status in {200, 302}
    if path == keys_page():
        assert "The database did not reply to this page" in seen.text
        assert "circuit breaker open" in seen.text


def test_a_read_only_token_allows_exact_keys_only(configure_panel, visit, emulator, settings):
    configure_panel()
    cache.set("query:1", "seen")
    prefix = settings.CACHES["default"]["KEY_PREFIX"]
    configure_panel(TOKEN=emulator.read_only_token)
    settings.CACHES = {"default": settings.CACHES["default"] | {"KEY_PREFIX": prefix}}
    seen = visit(keys_page(q="query:*"), "reader")
    assert "only looked up by their exact name" in seen.text
    assert "NOPERM" in seen.text
    assert "query:1 exact" in visit(keys_page(q="query:1"), "reader").text
    assert "seen" in visit(keys_page("key", key="query:1"), "reader").text


def test_a_key_function_that_hides_keys_allows_exact_keys_only(panel, visit, settings):
    settings.CACHES = {
        "default": settings.CACHES["default"] | {"KEY_FUNCTION": f"{__name__}.hashed"}
    }
    cache.set("query:1", "seen")
    assert "does not keep the key" in visit(keys_page(), "reader").text
    assert "query:1 exact" in visit(keys_page(q="query:1"), "reader").text
    assert "seen" in visit(keys_page("key", key="query:1"), "reader").text


def hashed(key, key_prefix, version):
    return f"{key_prefix}:{version}:{sum(str(key).encode())}"


def test_a_wrong_entry_of_caches_is_shown(configure_panel, visit):
    configure_panel(READ_TIMOUT=1)
    assert "Did you mean READ_TIMEOUT?" in visit(keys_page(), "editor").text


@pytest.mark.parametrize("path", [*PAGES, *CHANGES])
def test_nothing_is_inline(path, panel, visit):
    cache.set_many({"query:1": "<script>alert(1)</script>", "query:<b>": 1})
    seen = visit(path, "editor")
    assert seen.inline == []
    assert "<script>alert" not in seen.html
    assert "query:<b>" not in seen.html


@pytest.mark.parametrize("transport", ["rest", "local"])
@pytest.mark.parametrize("kind", ["hash", "list", "set", "zset"])
def test_all_elements_are_shown_page_by_page(kind, transport, configure_panel, visit):
    configure_panel(transport)
    names = [f"member-{number:04}" for number in range(520)]
    match kind:
        case "hash":
            cache.hset("all", mapping=dict.fromkeys(names, 1))
        case "list":
            cache.rpush("all", *names)
        case "set":
            cache.sadd("all", *names)
        case "zset":
            cache.zadd("all", dict.fromkeys(names, 1.0))
    found, path, pages = set(), keys_page("key", key="all"), 0
    while path:
        seen = visit(path, "reader")
        shown = set(re.findall(r"member-\d+", seen.html))
        assert shown
        found |= shown
        pages += 1
        following = [link for link in seen.links if link and "cursor=" in link]
        path = keys_page("key") + following[0] if following else None
    assert found == set(names)
    assert pages >= 7


def test_a_position_of_another_key_is_not_used(panel, visit):
    cache.rpush("one", *range(60))
    cache.rpush("two", *range(100, 160))
    (link,) = {
        link for link in visit(keys_page("key", key="one"), "reader").links if "cursor" in link
    }
    seen = visit(keys_page("key") + link.replace("key=one", "key=two"), "reader")
    assert "The position in this link is not valid for this key" in seen.text
    assert "0 100 1 101" in seen.text


def test_the_entries_of_a_stream_are_shown(panel, visit, emulator):
    redis = caches["default"].client.redis
    for number in range(60):
        redis.xadd(cache.make_key("stream"), "*", {"temperature": number})
    with emulator.count() as spent:
        seen = visit(keys_page("key", key="stream"), "reader")
    assert spent.billed == 5
    assert "temperature: 49" in seen.text
    assert "temperature: 50" not in seen.text
    (link,) = {link for link in seen.links if link and "cursor" in link}
    assert "temperature: 59" in visit(keys_page("key") + link, "reader").text
