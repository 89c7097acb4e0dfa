"""SESSION_FALLBACK_ENGINE during an outage."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.utils import timezone

from continuum_upstash.errors import SessionStoreUnavailable
from continuum_upstash.sessions import SessionStore, index
from continuum_upstash.sessions.fallback import fallback_sessions
from continuum_upstash.sessions.fallback.fallback_sessions import PendingRows
from continuum_upstash.sessions.keys import compute_digests
from tests.integration.sessions.session_database import (
    forget_process_state,
    read_sessions,
)

pytestmark = pytest.mark.usefixtures("fallback_engine", "ada")


# ---- during the outage


def test_a_visitor_with_an_unreadable_session_is_anonymous_and_keeps_the_cookie(
    member, brief_outage
):
    key = member.key
    with brief_outage():
        assert member.username == ""
        assert member.key == key
    assert member.username == "ada"
    assert member.read_session()["theme"] == "dark"


def test_a_login_during_an_outage_is_kept_afterwards(new_browser, brief_outage):
    browser = new_browser()
    with brief_outage():
        assert browser.get("login").status_code == 200
        assert browser.username == "ada"
        browser.put(theme="light")
    assert read_sessions() == {}
    assert browser.username == "ada"
    assert browser.read_session()["theme"] == "light"
    assert len(read_sessions()) == 1
    assert Session.objects.count() == 0


def test_a_replayed_session_is_in_the_user_index(new_browser, ada, brief_outage):
    browser = new_browser()
    with brief_outage():
        browser.get("login")
    assert browser.username == "ada"
    assert len(index.active_sessions(ada)) == 1


def test_a_logout_during_an_outage_ends_the_session(member, brief_outage):
    key = member.key
    with brief_outage():
        assert member.get("logout").status_code == 200
    assert len(read_sessions()) == 1  # not replayed yet
    thief = Client()
    thief.cookies["sessionid"] = key
    assert thief.get("/whoami").content == b""
    assert read_sessions() == {}
    assert Session.objects.count() == 0


def test_a_logout_is_replayed_by_a_process_that_noticed_no_outage(member, brief_outage):
    key = member.key
    with brief_outage():
        member.get("logout")
    forget_process_state()
    assert SessionStore(key).load() == {}
    assert read_sessions() == {}


def test_a_second_login_during_an_outage_ends_the_first_session(member, brief_outage):
    first = member.key
    with brief_outage():
        member.get("login")
        assert member.key != first
        assert member.username == "ada"
    assert member.username == "ada"
    assert SessionStore(first).load() == {}


def test_fields_stored_for_an_unreadable_session_are_added_to_it(member, brief_outage):
    with brief_outage():
        member.put(cart=["tea"])
        assert member.read_session() == {"cart": ["tea"]}
    assert member.read_session()["cart"] == ["tea"]
    assert member.read_session()["theme"] == "dark"
    assert member.username == "ada"


def test_fields_of_a_session_that_has_ended_since_are_dropped(member, brief_outage):
    with brief_outage():
        member.put(cart=["tea"])
    (name,) = read_sessions()
    caches["sessions"].client.redis.delete(name)
    assert member.username == ""
    assert read_sessions() == {}


def test_a_session_that_was_read_before_the_outage_is_replaced(open_session, member, brief_outage):
    store = open_session(member.key)
    assert store.get("theme") == "dark"
    store.pop("theme")
    store.set("cart", ["tea"])
    with brief_outage():
        store.save()
        assert open_session(member.key).get("cart") == ["tea"]
    assert "theme" not in open_session(member.key).load()
    assert open_session(member.key).get("cart") == ["tea"]


def test_a_request_uses_the_table_until_it_ends(open_session, member, brief_outage):
    store = open_session(member.key)
    with brief_outage():
        assert store.load() == {}
    # Redis is available again, but this request has not read the session: it must not replace it.
    store.set("cart", ["tea"])
    store.save()
    assert open_session(member.key).get("theme") == "dark"
    assert open_session(member.key).get("cart") == ["tea"]


def test_a_slow_request_does_not_undo_a_logout_during_the_outage(
    open_session, member, brief_outage
):
    store = open_session(member.key)
    assert store.get("theme") == "dark"
    store.set("cart", ["tea"])
    with brief_outage():
        open_session(member.key).flush()
        with pytest.raises(UpdateError):
            store.save()
        late = open_session(member.key)
        late.store._session_cache = {"_auth_user_id": "1"}
        with pytest.raises(SessionInterrupted):
            late.cycle_key()
    assert open_session(member.key).load() == {}


def test_an_expiry_in_the_past_ends_a_session_during_an_outage(open_session, member, brief_outage):
    with brief_outage():
        store = open_session(member.key)
        store.set_expiry(-10)
        store.save()
        assert store.exists(member.key) is False
    assert open_session(member.key).load() == {}


def test_only_sessions_in_the_table_exist_during_an_outage(open_session, member, brief_outage):
    with brief_outage():
        assert open_session().exists(member.key) is False
        store = open_session()
        store.create()
        assert open_session().exists(store.key) is True
        assert open_session(store.key).load() == {}
        assert open_session(store.key).key == store.key


# ---- a stolen table


def test_a_row_contains_no_session_key_and_does_not_work_as_a_cookie(
    new_browser, brief_outage, settings
):
    browser = new_browser()
    with brief_outage():
        browser.get("login")
    (row,) = Session.objects.all()
    assert browser.key not in row.session_key + row.session_data
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        *settings.MIDDLEWARE[1:],
    ]
    thief = Client()
    thief.cookies["sessionid"] = row.session_key
    assert thief.get("/whoami").content == b""


def test_a_row_that_was_copied_to_another_session_is_rejected(new_browser, brief_outage):
    browser, attacker = new_browser(), new_browser()
    with brief_outage():
        browser.get("login")
        attacker.put(theme="dark")
        theirs, mine = make_row_key(browser.key), make_row_key(attacker.key)
        rows = {row.session_key: row for row in Session.objects.all()}
        Session.objects.filter(session_key=mine).update(session_data=rows[theirs].session_data)
        assert attacker.username == ""


def make_row_key(session_key):
    return f"upstash-{compute_digests(session_key)[0][:32]}"


# ---- limits


def test_an_engine_without_a_table_is_rejected(settings):
    settings.SESSION_FALLBACK_ENGINE = "django.contrib.sessions.backends.cache"
    with pytest.raises(ImproperlyConfigured, match="does not store sessions in a table"):
        SessionStore("somesession").load()


def test_the_user_index_requires_the_session_database(ada, brief_outage):
    with brief_outage(), pytest.raises(SessionStoreUnavailable):
        index.logout_everywhere(ada)


# ---- an outage for some processes only


def test_another_process_finds_a_session_that_was_created_in_the_table(
    new_browser, outage, recover
):
    browser = new_browser()
    SessionStore().exists("warm0up0")  # this process has just searched the table for rows
    with outage():
        browser.get("login")
    recover()
    key, pending = browser.key, caches["sessions"].database.extras.get(PendingRows)
    pending.may_exist = False  # as in a process that has not noticed the outage
    assert browser.username == "ada"
    assert browser.key == key
    assert Session.objects.count() == 0


def test_an_unknown_cookie_costs_one_query(new_browser, django_assert_num_queries):
    SessionStore().exists("warm0up0")
    caches["sessions"].database.extras.get(PendingRows).may_exist = False
    with django_assert_num_queries(1):
        assert SessionStore("a" * 32).load() == {}


def change(session_key):
    store = SessionStore(session_key)
    store["a"] = 1
    store.save()


def test_invented_cookies_leave_a_limited_number_of_rows(monkeypatch, outage, settings):
    monkeypatch.setattr(fallback_sessions, "_MAX_ROWS", 5)
    with outage():
        for number in range(5):
            SessionStore(f"invented{number}").delete()
        with pytest.raises(SessionStoreUnavailable, match="no row is added"):
            SessionStore("invented5").delete()
        with pytest.raises(SessionStoreUnavailable, match="no row is added"):
            change("invented6")
        SessionStore("invented0").delete()  # has its row already
        change(None)  # a new session is not limited
    rows = Session.objects.all()
    assert len(rows) == 6
    latest = timezone.now() + timedelta(seconds=settings.SESSION_COOKIE_AGE)
    assert all(row.expire_date <= latest for row in rows)
