"""The account's own figures, from the emulator's Developer API, and its errors."""

from __future__ import annotations

import json
import traceback
from contextlib import suppress

import pytest

from continuum_upstash.backend import get_cache
from continuum_upstash.health.account import read_account
from continuum_upstash.health.developer_api import AccountUnavailable
from tests.integration.cache_entries import make_entry
from tests.integration.health.conftest import EMAIL, KEY
from tests.integration.management.command_runs import run_command
from tests.integration.scripted_server import http_response

COST = ("cache_cost", "--format", "json")


def read_finding(name, *arguments):
    run = run_command("cache_doctor", "--account", "--format", "json", *arguments)
    (entry,) = run.json["caches"]
    return next(each for each in entry["findings"] if each["name"] == name)


def test_the_accounts_figures_are_those_of_the_emulators_bill(account, emulator):
    account(plan="payg", regions=2, budget=20)
    cache = get_cache()
    for number in range(10):
        cache.set(f"k{number}", number, 60)
        cache.get(f"k{number}")
    cache.incr("k0")  # a script with one read and one write
    with emulator.count() as spent:
        found = read_account(cache.database)
    assert (spent.billed, spent.requests) == (0, 0)
    billed = emulator.read_usage().billed
    assert billed == 23
    assert (found.usage.writes, found.usage.reads) == (3 * 11, 12)
    assert found.usage.commands == billed + 2 * 11 == found.usage.today
    assert found.usage.dollars == pytest.approx(found.usage.commands * 0.2 / 100_000)
    known = found.database
    assert (found.plan, known.state, known.budget, known.evicts) == ("payg", "active", 20, False)
    assert known.read_regions == ("us-west-1", "eu-west-1")


@pytest.mark.usefixtures("shared_statistics")
def test_cache_cost_shows_both_figures_and_why_they_differ(account, site):
    site.CONTINUUM_STATS |= {"PLAN": "payg"}
    account(plan="payg", regions=1)
    for number in range(50):
        get_cache().set(f"k{number}", number, 60)
    (found,) = run_command(*COST).json["caches"]
    compared = found["comparison"]
    assert compared["difference"] == compared["account_commands"] - compared["commands"] > 50
    assert "REGIONS" in compared["reasons"][0]
    assert found["account"]["database"]["plan"] == "payg"
    text = run_command("cache_cost").out
    assert "Difference      the account has" in text
    assert "other clients of the database" in text

    site.CONTINUUM_STATS |= {"REGIONS": 1}
    (found,) = run_command(*COST).json["caches"]
    assert found["comparison"]["reasons"] == []
    assert "none beyond 2 %" in run_command("cache_cost").out


@pytest.mark.usefixtures("shared_statistics")
def test_without_a_key_the_estimate_says_that_it_is_one(monkeypatch):
    monkeypatch.delenv("UPSTASH_API_KEY", raising=False)
    monkeypatch.delenv("UPSTASH_EMAIL", raising=False)
    get_cache().get("k")
    run = run_command("cache_cost")
    assert "Estimate        by the statistics of this site. The account: no key: set" in run.out
    assert read_finding("account")["outcome"] == "warning"


@pytest.mark.usefixtures("shared_statistics")
def test_the_doctor_holds_the_account_against_the_use(account, site, emulator):
    account(plan="fixed_1gb", regions=1, budget=5)
    entry = make_entry(emulator, OPTIONS={"MAX_VALUE_BYTES": 20_000_000})
    site.CACHES = {"default": entry}
    get_cache().get("k")
    finding = read_finding("account: PLAN")
    assert finding["detail"] == "1gb, but CONTINUUM_STATS['PLAN'] is free"
    assert "= '1gb'" in finding["fix"]
    assert read_finding("account: REGIONS")["fix"].startswith("Set CONTINUUM_STATS['REGIONS'] = 1")
    assert read_finding("account: budget")["outcome"] == "warning"  # a fixed plan costs more
    assert "20,000,000" in read_finding("account: request")["fix"]
    assert read_finding("account: commands/s")["outcome"] == "ok"
    with pytest.raises(StopIteration):
        read_finding("account: commands")  # a fixed plan has no limit of commands
    assert "billed commands" in read_finding("account: bill")["detail"]
    assert run_command("cache_doctor").out.count("account") == 0


def test_a_wrong_key_is_named_without_the_key(account, monkeypatch):
    account()
    monkeypatch.setenv("UPSTASH_API_KEY", "wrong-key-77")
    with pytest.raises(AccountUnavailable, match="status 401: it rejects") as caught:
        read_account(get_cache().database)
    text = "".join(traceback.format_exception(caught.value))
    assert "wrong-key-77" not in text


def respond(*responses):
    """Return a script that sends one response for each request."""

    def script(peer):
        for response in responses:
            if peer.read_head() is None:
                return
            peer.send(response)

    return script


LISTED = http_response(json.dumps([{"database_id": "1", "endpoint": "127.0.0.1"}]).encode())


@pytest.mark.parametrize(
    ("responses", "message"),
    [
        ([http_response(b"", status="403 Forbidden")], "may not read this"),
        ([http_response(b"", status="404 Not Found")], "Vercel or Fly"),
        ([http_response(b"", status="429 Too Many")], "Try again in a minute"),
        ([http_response(b"", status="500 Error")], "status 500: Try again later"),
        ([http_response(b"", "Location: http://127.0.0.1/", status="302 Found")], "status 302"),
        ([http_response(b"[]")], "none of the account's 0 databases has the host 127.0.0.1"),
        ([http_response(b"{}")], "unexpected response, the list of databases"),
        ([http_response(b"[" * 100_000)], "text that is no JSON"),
        ([http_response(b"[{}]")], "none of the account's 1 databases"),
        ([http_response(b"[" + b" " * 5_000_000 + b"]")], "too large"),
        ([LISTED, http_response(b"[]")], "unexpected response, no object"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"], "no response"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_error_says_what_to_do(responses, message, account, serve, monkeypatch):
    account()
    server = serve(respond(*responses))
    monkeypatch.setenv("UPSTASH_API_URL", f"http://127.0.0.1:{server.port}")
    with pytest.raises(AccountUnavailable, match=message) as caught:
        read_account(get_cache().database)
    text = "".join(traceback.format_exception(caught.value))
    assert KEY not in text
    assert EMAIL not in text


def test_a_slow_response_ends_at_the_deadline(account, serve, monkeypatch):
    account()
    monkeypatch.setattr("continuum_upstash.health.developer_api._DEADLINE_SECONDS", 0.3)

    def drip(peer):
        peer.read_head()
        peer.send(b"HTTP/1.1 200 OK\r\n")
        with suppress(OSError):
            while not peer.server.stopping.wait(0.05):
                peer.send(b"X-Header: 1\r\n")

    server = serve(drip)
    monkeypatch.setenv("UPSTASH_API_URL", f"http://127.0.0.1:{server.port}")
    with pytest.raises(AccountUnavailable, match="no response"):
        read_account(get_cache().database)


def test_a_result_is_kept_for_the_panel(account, emulator):
    account()
    database = get_cache().database
    first = read_account(database)
    emulator.reset()  # the account is gone
    assert read_account(database, max_age=60) is first
    with pytest.raises(AccountUnavailable):
        read_account(database)
    with pytest.raises(AccountUnavailable):
        read_account(database, max_age=60)  # an error is kept, too


def test_a_local_cache_has_no_account(site, account):
    account()
    site.CACHES = {"default": make_entry(None, "local")}
    with pytest.raises(AccountUnavailable, match="no database"):
        read_account(get_cache().database)
