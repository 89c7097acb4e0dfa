"""SESSION_FALLBACK_ENGINE: rows are replayed after an outage."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command

from continuum_upstash.sessions import SessionStore
from tests.integration.sessions.session_database import (
    forget_process_state,
    read_sessions,
)

pytestmark = pytest.mark.usefixtures("fallback_engine", "ada")


def test_rows_of_other_visitors_are_replayed(new_browser, brief_outage):
    browsers = [new_browser() for _ in range(3)]
    with brief_outage():
        for browser in browsers:
            browser.get("login")
    forget_process_state()
    assert new_browser().put(theme="dark").status_code == 200
    assert Session.objects.count() == 0
    assert len(read_sessions()) == 4


def test_a_second_outage_loses_no_row(new_browser, brief_outage):
    browser = new_browser()
    with brief_outage():
        browser.get("login")
    with brief_outage():
        forget_process_state()
        assert browser.username == "ada"
        assert Session.objects.count() == 1
    assert browser.username == "ada"


def test_after_the_replay_the_table_is_not_queried(
    member, brief_outage, django_assert_num_queries, api
):
    with brief_outage():
        member.put(cart=["tea"])
    forget_process_state()
    assert member.read_session()["cart"] == ["tea"]
    forget_process_state()
    member.read_session()  # searches and finds no row
    if api == "sync":  # async views run their queries in another thread
        with django_assert_num_queries(0):
            member.read_session()


def test_expired_rows_are_cleared(new_browser, brief_outage):
    with brief_outage():
        new_browser().put(theme="dark")
    Session.objects.update(expire_date="2000-01-01T00:00Z")
    call_command("clearsessions")
    assert Session.objects.count() == 0


def test_rows_signed_with_an_unknown_secret_are_kept(new_browser, brief_outage, settings):
    browser = new_browser()
    with brief_outage():
        browser.get("login")
    secret, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    forget_process_state()
    assert new_browser().username == ""
    SessionStore("somesession").load()
    assert Session.objects.count() == 1
    settings.SECRET_KEY = secret
    assert browser.username == "ada"


def test_rows_that_another_serializer_wrote_are_kept_and_break_no_request(
    new_browser, brief_outage, settings, caplog
):
    browser = new_browser()
    with brief_outage():
        browser.get("login")
    serializer = settings.SESSION_SERIALIZER
    settings.SESSION_SERIALIZER = "tests.integration.sessions.test_store.Pickles"
    forget_process_state()
    assert new_browser().put(theme="dark").status_code == 200
    assert "not written by the current SESSION_SERIALIZER" in caplog.text
    settings.SESSION_SERIALIZER = serializer
    assert browser.username == "ada"
    assert Session.objects.count() == 0


def test_rows_of_the_engine_itself_are_not_changed(open_session, brief_outage):
    Session.objects.create(session_key="k" * 32, session_data="x", expire_date="2100-01-01T00:00Z")
    forget_process_state()
    open_session("somesession").load()
    call_command("clearsessions")
    assert Session.objects.count() == 1
