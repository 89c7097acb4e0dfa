"""The account's figures on the page of an alias."""

from __future__ import annotations

import pytest

from tests.integration.panel.panel_site import make_totals, now, page, write_history

EMAIL, KEY = "dev@example.com", "account-key-8d03"


@pytest.fixture
def account(emulator, monkeypatch):
    url = emulator.set_account(EMAIL, KEY, plan="payg", regions=1)
    monkeypatch.setenv("UPSTASH_EMAIL", EMAIL)
    monkeypatch.setenv("UPSTASH_API_KEY", KEY)
    monkeypatch.setenv("UPSTASH_API_URL", url)


@pytest.fixture
def history(panel):
    del panel
    for unit in ("hour", "minute"):
        write_history({now(): make_totals(400, 30)}, unit)


@pytest.mark.usefixtures("history", "account")
def test_both_figures_and_their_difference_are_shown(visit):
    text = visit(page("figures")).text
    assert "Pricing plan payg" in text
    assert "Read regions 1" in text
    assert "By the statistics of this site: 400 billed commands" in text
    assert "Difference: the account has" in text
    assert "account: PLAN: payg, but CONTINUUM_STATS['PLAN'] is free" in text
    assert "This is an estimate" not in text
    assert KEY not in text
    assert EMAIL not in text


@pytest.mark.usefixtures("history", "account")
def test_a_view_requests_nothing_within_15_minutes(visit, emulator):
    assert "Pricing plan payg" in visit(page()).text
    emulator.set_account("other@example.com", "other")  # a request would be rejected
    assert "Pricing plan payg" in visit(page()).text
    assert "every 15 minutes at most" in visit(page("figures")).text


@pytest.mark.usefixtures("history", "account")
def test_an_error_is_shown_and_kept_too(visit, emulator, monkeypatch):
    monkeypatch.setenv("UPSTASH_API_KEY", "wrong")
    assert "status 401" in visit(page("figures")).text
    monkeypatch.setenv("UPSTASH_API_KEY", KEY)
    assert "status 401" in visit(page("figures")).text


@pytest.mark.usefixtures("history")
def test_without_a_key_there_is_no_account(visit, monkeypatch):
    monkeypatch.delenv("UPSTASH_EMAIL", raising=False)
    monkeypatch.delenv("UPSTASH_API_KEY", raising=False)
    text = visit(page()).text
    assert "Upstash account" not in text
    assert "This is an estimate from the statistics of this site" in text
