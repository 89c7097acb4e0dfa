"""The panel's pages: permissions, content and cost, and that no failure breaks them."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.core.cache import cache, caches
from django.core.management import call_command

from continuum_upstash.health.overview import read_overview
from continuum_upstash.health.probe import Health
from continuum_upstash.panel import contexts
from continuum_upstash.stats.shared.schema import day_key
from tests.integration.panel.panel_site import HOME, make_totals, now, page, write_history

EVERY_PAGE = [HOME, page(), page("state"), page("figures"), page("history")]
CONFIRMATIONS = [page("do/probe"), page("clear") + "?family=query"]


# ---- permissions


@pytest.mark.parametrize("path", EVERY_PAGE + CONFIRMATIONS)
def test_anonymous_users_are_redirected_to_the_login(path, panel, client, transactional_db):
    response = client.get(path)
    assert response.status_code == 302
    assert response["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("path", EVERY_PAGE + CONFIRMATIONS)
def test_staff_without_permission_see_nothing(path, panel, visit):
    assert visit(path, "stranger").status == 403


@pytest.mark.parametrize("path", EVERY_PAGE)
def test_view_permission_shows_every_page_and_no_action(path, panel, visit):
    seen = visit(path, "viewer")
    assert (seen.status, seen.list_actions()) == (200, set())
    assert not any("/clear/" in link for link in seen.links if link)


@pytest.mark.parametrize("path", CONFIRMATIONS)
def test_view_permission_allows_no_changes(path, panel, visit, client):
    assert visit(path, "viewer").status == 403
    assert client.post(path).status_code == 403


def test_the_admin_index_links_to_the_panel(panel, visit):
    assert HOME in visit("/admin/", "viewer").links
    assert HOME not in visit("/admin/", "stranger").links


@pytest.mark.parametrize("path", [page(alias="other"), page("do/nonsense")])
def test_unknown_aliases_and_actions_are_not_found(path, panel, visit):
    assert visit(path).status == 404


# ---- content


@pytest.mark.parametrize("path", [HOME, page(), page("state")])
def test_a_page_shows_the_time_of_its_measurement(path, panel, visit):
    seen = visit(path)
    (shown,) = re.findall(r'datetime="([^"]+)">As of ', seen.html)
    assert abs(datetime.fromisoformat(shown) - now()) < timedelta(seconds=10)


def test_figures_are_those_of_all_processes(panel, visit):
    write_history({now(): make_totals(40, 30, errors=3)}, "minute")
    write_history(
        {now(): make_totals(40, 30), now() - timedelta(hours=2): make_totals(60, 60)}, "hour"
    )
    seen = visit(page())
    assert "Hit rate 75 % last day: 90 %" in seen.text
    assert "Errors 3 last day: 0" in seen.text
    assert "Billed commands this month (pricing plan free)" in seen.text
    assert seen.html.count('class="ch-main"') >= 4  # lines of both series


def test_figures_include_what_this_process_has_not_written_yet(
    new_process_state, panel, visit, settings, emulator
):
    settings.CONTINUUM_STATS = {"SHARED": True}  # but no writer is started
    write_history({now(): make_totals(40, 30, errors=3)}, "minute")
    write_history({now(): make_totals(40, 30)}, "hour")
    with emulator.fault("refuse"):
        cache.get("a")
        cache.get("a")
    assert "Errors 5 last day: 2" in visit(page("figures")).text


def test_without_history_the_figures_are_those_of_this_process(panel, visit):
    cache.set("a", 1)
    seen = visit(page())
    assert "This process since it started" in seen.text
    assert "There is no history yet" in seen.text
    assert cache.status.reason not in seen.text  # "no failures yet", in English only


def test_key_families_are_sampled_on_request(panel, visit):
    cache.set_many({f"query:{n}": n for n in range(30)} | {"page:1": 1, "alone": 1})
    assert "query:" not in visit(page()).text
    seen = visit(page() + "?sample=1")
    assert "This cache contains 32 keys" in seen.text
    assert re.search(r"query: 30 93.8 %", seen.text)
    assert not any("family=%28no" in link for link in seen.links if link)


def test_an_empty_cache_is_shown_as_such(panel, visit):
    assert "This cache contains no keys." in visit(page() + "?sample=1").text


def test_a_thousand_families_are_shown_as_a_short_list(panel, visit):
    cache.set_many({f"family{n}:1": n for n in range(1000)})
    seen = visit(page() + "?sample=1")
    assert "The other 975 keys of the sample are in smaller families" in seen.text


def test_the_list_shows_why_the_database_is_not_used(panel, visit, monkeypatch):
    caches["default"].database.failover.breaker.force_open("for a test")
    assert "circuit breaker open, no attempt until it is reset: for a test" in visit(HOME).text
    # As when the breaker opens between the probe and its result.
    monkeypatch.setattr(contexts, "read_overview", _read_without_errors)
    assert "no call uses the database until it is closed. · for a test" in visit(HOME).text


def _read_without_errors(cache):
    overview = yield from read_overview(cache)
    return replace(overview, health=replace(overview.health, errors=()))


def test_the_list_shows_hit_rate_and_bill(panel, visit):
    write_history({now(): make_totals(40, 30)}, "hour")
    seen = visit(HOME)
    assert "Hit rate today 75 %" in seen.text
    assert re.search(r"Billed this month [1-9]\d* ", seen.text)
    assert "Hit rate today 75 %" in visit(HOME + "summaries/").text


def test_the_url_of_an_alias_leads_to_its_page(panel, client, accounts):
    client.force_login(accounts.viewer())
    assert client.get(f"{HOME}default/")["Location"] == page()
    assert client.get(f"{HOME}other/").status_code == 404


def test_breadcrumbs_contain_the_alias(panel, visit):
    crumbs = r"Home (\S )?Upstash (\S )?Cache health (\S )?default"  # Django 6.1: only a list
    assert re.search(crumbs, visit(page()).text)
    seen = visit(page("do/open"))
    assert page() in seen.links
    assert re.search(crumbs + r" (\S )?Force the breaker open", seen.text)


def test_the_list_shows_warnings(configure_panel, visit, monkeypatch):
    configure_panel("local")
    monkeypatch.setattr(Health, "warnings", ("90 % of the memory limit is used",))
    assert "90 % of the memory limit is used" in visit(HOME).text


def test_state_changes_are_listed_with_their_reason(panel, visit):
    caches["default"].database.failover.breaker.force_open("for a test")
    seen = visit(page())
    assert re.search(r"closed forced_open local for a test", seen.text)


def test_configuration_shows_the_source_of_each_entry(
    configure_panel, visit, emulator, monkeypatch
):
    monkeypatch.setenv("UPSTASH_REDIS_REST_URL", emulator.rest_url)
    monkeypatch.setenv("UPSTASH_REDIS_REST_TOKEN", emulator.token)
    monkeypatch.setenv("UPSTASH_POOL_SIZE", "7")
    configure_panel(location="", READ_TIMEOUT=5)
    seen = visit(page())
    assert "REST_URL 127.0.0.1 UPSTASH_REDIS_REST_URL" in seen.text
    assert "TOKEN •••••••• UPSTASH_REDIS_REST_TOKEN" in seen.text
    assert "POOL_SIZE 7 environment" in seen.text
    assert "READ_TIMEOUT 5 s OPTIONS" in seen.text
    assert "CONNECT_TIMEOUT 1 s default" in seen.text


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_no_page_contains_a_secret(transport, configure_panel, visit, emulator):
    own = {"CONNECTION_POOL_KWARGS": {"client_name": "s3cret"}} if transport == "tcp" else {}
    configure_panel(transport, **own)
    for path in [*EVERY_PAGE, *CONFIRMATIONS, page() + "?sample=1"]:
        html = visit(path).html
        assert emulator.token not in html
        assert "s3cret" not in html


# ---- cost


def test_a_page_shows_its_billed_commands(panel, visit, emulator):
    for path in (page(), page() + "?sample=1"):
        with emulator.count() as spent:
            seen = visit(path)
        assert f"This page cost {spent.billed} billed command" in seen.text


def test_refreshes_cost_no_more_than_documented(panel, visit, emulator):
    write_history({now(): make_totals(40, 30)}, "hour")
    visit(page())  # reads the month once a day
    for path, most in ((HOME, 1), (page("state"), 0), (page("figures"), 4)):
        with emulator.count() as spent:
            visit(path)
        assert spent.billed <= most, path


# ---- failures


@pytest.mark.parametrize("path", [*EVERY_PAGE, page() + "?sample=1", *CONFIRMATIONS])
@pytest.mark.parametrize("fallback", [True, False])
def test_no_page_fails_while_the_service_is_down(path, fallback, configure_panel, visit, emulator):
    configure_panel(FALLBACK=fallback)
    with emulator.fault("refuse"):
        for _ in range(4):  # before and after the breaker opens
            seen = visit(path)
            assert seen.status == 200
    if path == page():
        assert ("Degraded" if fallback else "Down") in seen.text
        assert "The history is stored in the database, which is not used" in seen.text


@pytest.mark.parametrize("path", [*EVERY_PAGE, page() + "?sample=1", *CONFIRMATIONS])
def test_no_page_fails_with_a_read_only_token(path, configure_panel, visit, emulator):
    configure_panel(TOKEN=emulator.read_only_token)
    seen = visit(path)
    assert seen.status == 200
    if "sample" in path:
        assert "NOPERM" in seen.text


@pytest.mark.parametrize("path", [*EVERY_PAGE, page() + "?sample=1", page("clear") + "?family=a"])
def test_no_page_fails_without_a_database(path, configure_panel, visit):
    configure_panel("local")
    cache.set("a:1", 1)
    seen = visit(path)
    assert (seen.status, seen.list_actions()) == (200, set())


def test_a_wrong_entry_of_caches_is_shown(configure_panel, visit):
    configure_panel(READ_TIMOUT=1)
    for path in (HOME, page()):
        assert "Did you mean READ_TIMEOUT?" in visit(path).text


@pytest.mark.parametrize("path", [page("state"), page("figures"), page("do/probe")])
def test_parts_and_actions_show_a_wrong_entry(path, configure_panel, visit):
    configure_panel(READ_TIMOUT=1)
    seen = visit(path)
    assert (seen.status, "Did you mean READ_TIMEOUT?" in seen.text) == (200, True)


def test_a_wrong_setting_of_the_statistics_is_shown(panel, visit, settings):
    write_history({now(): make_totals(40, 30)}, "hour")
    settings.CONTINUUM_STATS = {"SHARED": False, "PLAN": "gold"}
    seen = visit(page())
    assert (seen.status, "'gold'" in seen.text) == (200, True)


@pytest.mark.parametrize("value", ["nonsense", "[]", '{"latency": [1, 2]}', '{"hits": "many"}'])
def test_unreadable_statistics_are_shown_as_such(value, panel, visit):
    caches["default"].client.redis.hset(day_key("default", now()), f"{now():%H}:other", value)
    seen = visit(page())
    assert seen.status == 200
    assert "To reset them, delete the keys that begin with continuum:stats:" in seen.text


def test_a_key_function_that_hides_keys_is_shown(panel, visit, settings):
    settings.CACHES = {
        "default": settings.CACHES["default"] | {"KEY_FUNCTION": f"{__name__}.hashed"}
    }
    for path in (page() + "?sample=1", page("clear") + "?family=query"):
        assert "does not keep the key" in visit(path).text


def hashed(key, key_prefix, version):
    return str(hash((key, key_prefix, version)))


# ---- integration with Django


@pytest.mark.parametrize("path", [*EVERY_PAGE, page() + "?sample=1", *CONFIRMATIONS])
def test_nothing_is_inline(path, panel, visit):
    write_history({now(): make_totals(40, 30)}, "hour")
    assert visit(path).inline == []


def test_scripts_and_styles_carry_the_nonce_that_django_gives(panel, visit, settings):
    (engine,) = deepcopy(settings.TEMPLATES)
    engine["OPTIONS"]["context_processors"].append(f"{__name__}.nonce")
    settings.TEMPLATES = [engine]
    seen = visit(page())
    own = {path: given for path, given in seen.nonces.items() if "continuum_upstash" in path}
    assert own == {
        "/static/continuum_upstash/panel.css": "n0nce",
        "/static/continuum_upstash/panel.js": "n0nce",
    }


def nonce(_request):
    return {"csp_nonce": LazyNonce()}


class LazyNonce:
    """Like Django's: false until it is rendered."""

    def __bool__(self):
        return False

    def __str__(self):
        return "n0nce"


def test_the_model_needs_no_migration_and_raises_no_check(db):
    call_command("makemigrations", "continuum_upstash_panel", check=True, dry_run=True, verbosity=0)
    call_command("check", "continuum_upstash_panel", fail_level="WARNING")
