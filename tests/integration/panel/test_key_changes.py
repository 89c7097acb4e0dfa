"""What the key browser changes: expiries and deletions, confirmed, recorded and safe."""

from __future__ import annotations

import html
import re

import pytest
from django.core.cache import cache, caches
from django.test import Client

from tests.integration.panel.panel_html import Page
from tests.integration.panel.panel_site import keys_page


@pytest.fixture
def post(client, accounts):
    """Return a function that posts as the editor, and returns the page after the redirect."""

    def send(name, who="editor", **data):
        client.force_login(getattr(accounts, who)())
        query = {"q": data.pop("q")} if "q" in data and name == "delete-pattern" else {}
        return Page(client.post(keys_page(name, **query), data, follow=True))

    return send


@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
def test_an_expiry_is_set_and_removed(transport, configure_panel, post, emulator):
    configure_panel(transport)
    cache.set("query:1", 1, 60)
    seen = post("expiry", key="query:1", amount="2", unit="hours")
    assert "“query:1” expires in 2 h 0 min." in seen.text
    assert 7100 < cache.ttl("query:1") <= 7200
    seen = post("expiry", key="query:1", never="1")
    assert "“query:1” never expires." in seen.text
    assert cache.ttl("query:1") is None


@pytest.mark.parametrize(
    ("amount", "unit"), [("", "hours"), ("-1", "hours"), ("1", "weeks"), ("9999", "days")]
)
def test_a_wrong_time_changes_nothing(amount, unit, panel, post):
    cache.set("query:1", 1, 60)
    seen = post("expiry", key="query:1", amount=amount, unit=unit)
    assert "Nothing was changed." in seen.text
    assert 0 < cache.ttl("query:1") <= 60


def test_an_expiry_of_0_asks_for_confirmation_because_it_deletes(panel, post):
    cache.set("query:1", 1, 60)
    seen = post("expiry", key="query:1", amount="0", unit="seconds")
    assert "This key will be deleted" in seen.text
    assert cache.get("query:1") == 1


@pytest.mark.parametrize("fields", [{"amount": "5", "unit": "hours"}, {"never": "1"}])
def test_a_key_that_is_gone_meanwhile_is_named(fields, panel, post):
    seen = post("expiry", key="query:1", **fields)
    assert "“query:1” no longer exists" in seen.text
    assert "query:1" not in cache


@pytest.mark.parametrize("transport", ["rest", "tcp", "local"])
def test_selected_keys_are_deleted_after_a_confirmation(transport, configure_panel, post, emulator):
    configure_panel(transport)
    cache.set_many({"a": 1, "b": 2, "c": 3})
    seen = post("delete-keys", key=["a", "b", "gone"])
    assert "These 3 keys will be deleted" in seen.text
    assert cache.get("a") == 1
    with emulator.count() as spent:
        seen = post("delete-keys", key=["a", "b", "gone"], confirm="1", q="x*")
    assert "2 keys deleted. 1 no longer existed." in seen.text
    assert cache.get_many(["a", "b", "c"]) == {"c": 3}
    assert spent.billed == (0 if transport == "local" else 2)  # UNLINK, and the SCAN of the list


@pytest.mark.filterwarnings("ignore::django.core.cache.CacheKeyWarning")
@pytest.mark.parametrize("key", ["null:\0", "line:\n", "percent:%41", "space: a+b", "rtl:\u202e"])
def test_a_form_names_every_key_exactly(key, panel, visit, post):
    cache.set_many({key: 1, "percent:A": 1, "null:\ufffd": 1, "line:\r\n": 1})
    seen = visit(keys_page("delete-keys", key=key), "editor")
    (value,) = re.findall('name="key" value="([^"]+)"', seen.html)
    post("delete-keys", key=html.unescape(value), confirm="1")
    assert key not in cache
    assert len(cache.keys()) == 3


def test_without_a_selection_nothing_happens(panel, post):
    assert "Select at least one key." in post("delete-keys").text


def test_a_pattern_is_deleted_after_a_dry_run(panel, post, visit, emulator):
    cache.set_many({f"query:{number}": 1 for number in range(1200)} | {"page:1": 1}, None)
    with emulator.count() as dry:
        seen = visit(keys_page("delete-pattern", q="query:"), "editor")
    assert "query:*" in seen.text
    assert "1,200 keys will be deleted" in seen.text
    assert "The deletion costs 4 billed commands: $0.000008" in seen.text
    assert dry.billed == 2
    assert len(cache.keys()) == 1201
    with emulator.count() as spent:
        seen = post("delete-pattern", q="query:")
    assert "1,200 keys deleted." in seen.text
    assert spent.billed == 4 + 2  # and the list: the exact key, and a SCAN
    assert cache.keys() == ["page:1"]


@pytest.mark.parametrize("text", ["", "*", "**", "??*"])
def test_a_pattern_for_every_key_is_refused(text, panel, post):
    cache.set("query:1", 1)
    assert "This pattern matches every key." in post("delete-pattern", q=text).text
    assert cache.get("query:1") == 1


def test_sessions_of_django_stay_when_a_pattern_matches_them(panel, post, visit):
    cache.set("django.contrib.sessions.cacheabcdefgh", 1)
    seen = visit(keys_page("delete-pattern", q="django*"), "editor")
    assert "No key matches. There is nothing to delete." in seen.text
    post("delete-pattern", q="django*")
    assert cache.get("django.contrib.sessions.cacheabcdefgh") == 1


@pytest.mark.parametrize(("who", "keys"), [("clerk", 0), ("editor", 1)])
def test_a_hidden_part_cannot_be_guessed_by_a_dry_run(who, keys, panel, visit):
    cache.set("reset-token:s3cr3t", 1)
    seen = visit(keys_page("delete-pattern", q="reset-token:s3*"), who)
    assert ("1 key will be deleted" in seen.text) is bool(keys)
    assert "1 key will be deleted" in visit(keys_page("delete-pattern", q="reset-*"), who).text


def test_changes_are_recorded_with_masked_keys(panel, post, visit):
    cache.set_many({"reset-token:s3cr3t": 1, "query:1": 1})
    post("expiry", key="reset-token:s3cr3t", amount="5", unit="minutes")
    post("delete-keys", key=["reset-token:s3cr3t", "query:1"], confirm="1")
    history = visit(keys_page("history"), "editor").text
    assert "“reset-token:••••••••” expires in 5 min." in history
    assert "2 keys deleted. “reset-token:••••••••”, “query:1”" in history
    assert "s3cr3t" not in history


def test_full_keys_are_changed_by_superusers_only(panel, post):
    caches["default"].client.redis.set("other:program", "1")
    assert post("expiry", key="other:program", raw="1", amount="5", unit="hours").status == 403
    seen = post("expiry", "superuser", key="other:program", raw="1", amount="5", unit="hours")
    assert "“other:program” expires in 5 h 0 min." in seen.text
    post("delete-keys", "superuser", key="other:program", raw="1", confirm="1")
    assert caches["default"].client.get("other:program") is None


@pytest.mark.parametrize("key", ["continuum:stats:a", "continuum:ratelimit:a:b"])
def test_protected_keys_are_not_changed(key, panel, post):
    caches["default"].client.redis.set(key, "1")
    for name, data in (
        ("expiry", {"never": "1"}),
        ("delete-keys", {"confirm": "1"}),
        ("key", {}),
    ):
        assert post(name, "superuser", key=key, raw="1", **data).status == 403
    assert caches["default"].client.get(key) is not None


def test_get_changes_nothing(panel, visit):
    cache.set("query:1", 1, 60)
    visit(keys_page("expiry", key="query:1", never=1), "editor")
    visit(keys_page("delete-keys", key="query:1", confirm=1), "editor")
    visit(keys_page("delete-pattern", q="query:*", confirm=1), "editor")
    assert 0 < cache.ttl("query:1") <= 60


def test_a_post_without_the_csrf_token_is_refused(panel, accounts):
    cache.set("query:1", 1, 60)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(accounts.editor())
    for name in ("expiry", "delete-keys", "delete-pattern", "key"):
        data = {"key": "query:1", "never": "1", "confirm": "1"}
        assert strict.post(keys_page(name, q="query:*"), data).status_code == 403
    assert 0 < cache.ttl("query:1") <= 60


def test_the_near_cache_forgets_a_deleted_key(configure_panel, post):
    configure_panel(NEAR={"query:": 60})
    cache.set("query:1", 1)
    assert cache.get("query:1") == 1
    post("delete-keys", key="query:1", confirm="1")
    assert cache.get("query:1") is None


def test_a_deletion_during_an_outage_is_repeated_and_an_expiry_is_refused(panel, post, emulator):
    cache.set("query:1", 1, 60)
    with emulator.fault("refuse"):
        seen = post("delete-keys", key="query:1", confirm="1")
        assert "The database does not accept the deletion now." in seen.text
        seen = post("expiry", key="query:1", never="1")
        assert "never expires" not in seen.text
    caches["default"].database.failover.breaker.allow_probe_now()
    assert cache.get("query:1") is None


def test_a_read_only_token_changes_nothing(configure_panel, post, emulator):
    configure_panel(TOKEN=emulator.read_only_token)
    assert "NOPERM" in post("expiry", key="query:1", amount="5", unit="hours").text
    seen = post("delete-keys", key="query:1", confirm="1")
    assert "The database does not accept the deletion now." in seen.text
