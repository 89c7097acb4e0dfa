"""SESSION_FALLBACK_ENGINE: what comes back from the table after an outage."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command

from continuum_upstash.sessions import SessionStore
from tests.integration.sessions.fallback_fixtures import another_process, whoami
from tests.integration.sessions.session_site import records

pytestmark = pytest.mark.usefixtures("on_the_database", "ada")


def test_what_others_left_is_carried_over_too(visitor, outage):
    gone = [visitor() for _ in range(3)]
    with outage():
        for browser in gone:
            browser.get("login")
    another_process()
    assert visitor().put(theme="dark").status_code == 200
    assert Session.objects.count() == 0
    assert len(records()) == 4


def test_a_database_that_goes_away_again_loses_nothing(visitor, outage):
    browser = visitor()
    with outage():
        browser.get("login")
    with outage():
        another_process()
        assert whoami(browser) == "ada"
        assert Session.objects.count() == 1
    assert whoami(browser) == "ada"


def test_after_the_recovery_the_table_is_left_in_peace(
    member, outage, django_assert_num_queries, api
):
    with outage():
        member.put(cart=["tea"])
    another_process()
    assert member.session()["cart"] == ["tea"]
    another_process()
    member.session()  # looks, and finds nothing
    if api == "sync":  # the async views run their queries in a thread of their own
        with django_assert_num_queries(0):
            member.session()


def test_rows_of_sessions_that_have_expired_are_cleared(visitor, outage):
    with outage():
        visitor().put(theme="dark")
    Session.objects.update(expire_date="2000-01-01T00:00Z")
    call_command("clearsessions")
    assert Session.objects.count() == 0


def test_rows_that_cannot_be_read_are_left_to_who_can(visitor, outage, settings):
    browser = visitor()
    with outage():
        browser.get("login")
    secret, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    another_process()
    assert whoami(visitor()) == ""
    SessionStore("somesession").load()
    assert Session.objects.count() == 1
    settings.SECRET_KEY = secret
    assert whoami(browser) == "ada"


def test_sessions_of_the_engines_own_are_not_touched(session, outage):
    Session.objects.create(session_key="k" * 32, session_data="x", expire_date="2100-01-01T00:00Z")
    another_process()
    session("somesession").load()
    call_command("clearsessions")
    assert Session.objects.count() == 1
