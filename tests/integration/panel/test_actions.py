"""Actions of the panel: confirmed, run once, and logged with the user."""

from __future__ import annotations

import re
import shlex

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.cache import cache, caches
from django.core.management import call_command
from django.utils import translation

from continuum_upstash.panel import clear_family
from tests.integration.panel.panel_html import Page
from tests.integration.panel.panel_site import page

ALL = {"probe", "reconnect", "open", "disable", "close"}


@pytest.fixture
def operator(client, accounts):
    client.force_login(accounts.operator())
    return client


@pytest.fixture
def breaker(panel):
    return caches["default"].database.failover.breaker


def post(operator, path):
    response = operator.post(path, follow=True)
    assert response.redirect_chain == [(page(), 302)]
    return Page(response)


@pytest.mark.parametrize(
    ("action", "state"), [("open", "forced_open"), ("disable", "disabled"), ("probe", "closed")]
)
def test_an_action_runs_only_after_its_confirmation(action, state, operator, breaker):
    assert "No, take me back" in Page(operator.get(page(f"do/{action}"))).text
    assert (breaker.state, LogEntry.objects.count()) == ("closed", 0)
    post(operator, page(f"do/{action}"))
    assert breaker.state == state
    assert LogEntry.objects.count() == 1


def test_the_user_is_named_in_the_history_and_in_the_reason(operator, breaker):
    seen = post(operator, page("do/open"))
    assert "by operator, in the admin" in seen.text
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("operator", "default")
    assert entry.change_message.startswith("Force the breaker open.")
    assert entry.get_admin_url() == page()
    assert entry.change_message in Page(operator.get(page("history"))).text


def test_the_history_is_stored_in_one_language(operator, breaker):
    with translation.override("de"):
        post(operator, page("do/probe"))
    assert LogEntry.objects.get().change_message.startswith("Probe now. The database replied in")


@pytest.mark.parametrize(
    ("force", "offered"),
    [
        ("reset", ALL - {"close"}),
        ("force_open", {"disable", "close"}),
        ("disable", ALL - {"disable"}),
    ],
)
def test_only_applicable_actions_are_available(force, offered, operator, breaker):
    getattr(breaker, force)()
    assert Page(operator.get(page())).list_actions() == offered
    for action in ALL - offered:
        assert "Nothing was changed" in post(operator, page(f"do/{action}")).text


def test_a_probe_closes_the_open_breaker(operator, breaker, emulator):
    with emulator.fault("refuse"):
        for _ in range(3):
            cache.get("a")
        assert breaker.state == "open"
        assert "refused" in post(operator, page("do/probe")).text
        assert breaker.state == "open"
    assert "The database replied in" in post(operator, page("do/probe")).text
    assert breaker.state == "closed"


def test_reconnect_closes_the_connections(operator, panel, emulator):
    cache.get("a")
    with emulator.count() as counted:
        cache.get("a")
    assert counted.connections == 0
    with emulator.count() as counted:
        assert "The database replied in" in post(operator, page("do/reconnect")).text
    assert counted.connections == 1


def test_users_cannot_lock_themselves_out(operator, breaker, settings):
    settings.SESSION_ENGINE = "continuum_upstash.sessions"
    settings.SESSION_CACHE_ALIAS = "default"
    operator.force_login(User.objects.get(username="operator"))
    assert "open" not in Page(operator.get(page())).list_actions()
    post(operator, page("do/open"))
    assert breaker.state == "closed"


def test_links_stay_in_a_custom_admin_site(operator, breaker):
    own = page().replace("/admin/", "/operations/")
    seen = Page(operator.get(own))
    assert seen.list_actions() == ALL - {"close"}
    assert not [link for link in seen.links if link and link.startswith("/admin/")]
    response = operator.post(own.replace("change", "do/open"))
    assert response["Location"] == own


# ---- key families


def test_clearing_shows_a_preview_and_deletes_only_the_family(operator, panel):
    cache.set_many({f"query:{n}": n for n in range(30)} | {"queryset": 1, "page:1": 1})
    path = page("clear") + "?family=query:"
    assert "30 keys will be deleted" in Page(operator.get(path)).text
    assert len(cache.keys("*")) == 32
    assert "30 keys deleted." in post(operator, path).text
    assert sorted(cache.keys("*")) == ["page:1", "queryset"]
    assert LogEntry.objects.get().change_message == "Clear the key family query:. 30 keys deleted."


def test_the_button_names_the_action(operator, panel):
    cache.set("query:1", 1)
    assert 'value="Force open"' in Page(operator.get(page("do/open"))).html
    path = page("clear") + "?family=query"
    assert 'value="Delete the keys"' in Page(operator.get(path)).html


def test_without_keys_there_is_only_the_link_back(operator, panel):
    seen = Page(operator.get(page("clear") + "?family=query"))
    assert "No key starts with “query:”" in seen.text
    assert "will be deleted" not in seen.text
    assert 'type="submit" class="default"' not in seen.html


def test_a_family_is_a_name_and_not_a_pattern(operator, panel):
    cache.set_many({"a:1": 1, "b:1": 1, "*:1": 1})
    assert "1 key deleted." in post(operator, page("clear") + "?family=*").text
    assert sorted(cache.keys("*")) == ["a:1", "b:1"]


def test_white_space_is_part_of_the_name_of_a_family(operator, panel):
    names = [" lead:1", "lead:1", "lead:2", ":alone"]
    cache.client.set_many({cache.make_key(name): 1 for name in names})
    seen = Page(operator.get(page() + "?sample=1")).html
    assert "?family=%20lead%3A" in seen
    assert "?family=%3A" not in seen
    assert "1 key deleted." in post(operator, page("clear") + "?family=%20lead%3A").text
    assert sorted(cache.keys("*")) == [":alone", "lead:1", "lead:2"]


def test_without_a_family_nothing_is_cleared(operator, panel):
    cache.set("a:1", 1)
    assert "Enter a key family." in post(operator, page("clear") + "?family=:").text
    assert cache.get("a:1") == 1


def test_a_command_deletes_what_one_request_cannot(operator, panel, monkeypatch):
    monkeypatch.setattr(clear_family, "_MAX_DELETE_PAGES", 2)
    cache.set_many({f"query:{n}": n for n in range(5000)})
    text = post(operator, page("clear") + "?family=query").text
    assert 0 < len(cache.keys("query:*")) < 5000
    _, _, *arguments = shlex.split(
        re.search(r"To delete the rest, run: (.*?--resume=\d+)", text)[1]
    )
    call_command("cache_cleanup", *arguments, interactive=False, verbosity=0)
    assert cache.keys("query:*") == []


def test_the_keys_of_the_last_page_are_deleted(operator, panel, monkeypatch):
    monkeypatch.setattr(clear_family, "_MAX_DELETE_PAGES", 4)
    cache.set_many({f"page:{n}": n for n in range(9000)} | {f"query:{n}": n for n in range(30)})
    monkeypatch.setattr(clear_family, "MAX_PAGES", 4)
    path = page("clear") + "?family=query"
    assert re.search(r"At least \d+ keys will be deleted", Page(operator.get(path)).text)
    deleted = int(re.search(r"(\d+) keys deleted so far", post(operator, path).text)[1])
    assert len(cache.keys("query:*")) == 30 - deleted


def test_an_error_of_clearing_is_shown(operator, configure_panel, emulator):
    configure_panel(TOKEN=emulator.read_only_token)
    assert "NOPERM" in post(operator, page("clear") + "?family=query").text


# ---- sessions


def test_sessions_are_counted_and_their_safety_is_shown(operator, panel, settings):
    settings.SESSION_ENGINE = "continuum_upstash.sessions"
    settings.SESSION_CACHE_ALIAS = "default"
    operator.force_login(User.objects.get(username="operator"))
    seen = Page(operator.get(page() + "?sample=1"))
    assert "does not evict keys when it is full (noeviction)" in seen.text
    assert re.search(r"receive a 503. Users stay logged in. Sessions 1 Users 1", seen.text)


def test_clearing_a_family_deletes_no_sessions(operator, panel, settings):
    settings.SESSION_ENGINE = "continuum_upstash.sessions"
    default = settings.CACHES["default"] | {
        "KEY_FUNCTION": lambda key, prefix, _: f"{prefix}:{key}"
    }
    settings.CACHES = {"default": default}
    operator.force_login(User.objects.get(username="operator"))
    cache.set("session:of-work", 1)
    assert "session-user:" not in Page(operator.get(page() + "?sample=1")).text
    assert "1 key deleted." in post(operator, page("clear") + "?family=session").text
