"""SESSION_FALLBACK_ENGINE: an outage on the database engine."""

from __future__ import annotations

import pytest
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from continuum_upstash.errors import SessionStoreUnavailable
from continuum_upstash.sessions import SessionStore, index
from tests.integration.sessions.fallback_fixtures import another_process, whoami
from tests.integration.sessions.session_site import records

pytestmark = pytest.mark.usefixtures("on_the_database", "ada")


# ---- while it lasts


def test_whose_session_is_out_of_reach_is_anonymous_and_keeps_the_cookie(member, outage):
    key = member.key
    with outage():
        assert whoami(member) == ""
        assert member.key == key
    assert whoami(member) == "ada"
    assert member.session()["theme"] == "dark"


def test_a_login_in_an_outage_lasts_beyond_it(visitor, outage):
    browser = visitor()
    with outage():
        assert browser.get("login").status_code == 200
        assert whoami(browser) == "ada"
        browser.put(theme="light")
    assert records() == {}
    assert whoami(browser) == "ada"
    assert browser.session()["theme"] == "light"
    assert len(records()) == 1
    assert Session.objects.count() == 0


def test_a_session_that_was_carried_over_is_in_the_users_index(visitor, ada, outage):
    browser = visitor()
    with outage():
        browser.get("login")
    assert whoami(browser) == "ada"
    assert len(index.active_sessions(ada)) == 1


def test_a_logout_in_an_outage_is_honoured(member, outage):
    key = member.key
    with outage():
        assert member.get("logout").status_code == 200
    assert len(records()) == 1  # the database has not heard of it yet
    thief = Client()
    thief.cookies["sessionid"] = key
    assert thief.get("/whoami").content == b""
    assert records() == {}
    assert Session.objects.count() == 0


def test_a_logout_is_honoured_by_a_process_that_saw_no_outage(member, outage):
    key = member.key
    with outage():
        member.get("logout")
    another_process()
    assert SessionStore(key).load() == {}
    assert records() == {}


def test_a_second_login_in_an_outage_ends_the_first_session(member, outage):
    first = member.key
    with outage():
        member.get("login")
        assert member.key != first
        assert whoami(member) == "ada"
    assert whoami(member) == "ada"
    assert SessionStore(first).load() == {}


def test_fields_that_an_unreadable_session_was_given_are_added_to_it(member, outage):
    with outage():
        member.put(cart=["tea"])
        assert member.session() == {"cart": ["tea"]}
    assert member.session()["cart"] == ["tea"]
    assert member.session()["theme"] == "dark"
    assert whoami(member) == "ada"


def test_they_do_not_revive_a_session_that_has_ended_elsewhere(member, outage):
    with outage():
        member.put(cart=["tea"])
    (name,) = records()
    caches["sessions"].client.redis.delete(name)
    assert whoami(member) == ""
    assert records() == {}


def test_a_session_that_was_read_before_the_outage_is_saved_whole(session, member, outage):
    store = session(member.key)
    assert store.get("theme") == "dark"
    store.pop("theme")
    store.set("cart", ["tea"])
    with outage():
        store.save()
        assert session(member.key).get("cart") == ["tea"]
    assert "theme" not in session(member.key).load()
    assert session(member.key).get("cart") == ["tea"]


def test_a_request_stays_where_it_began(session, member, outage):
    store = session(member.key)
    with outage():
        assert store.load() == {}
    # Redis is back, but this request never saw what it holds: it must not overwrite it.
    store.set("cart", ["tea"])
    store.save()
    assert session(member.key).get("theme") == "dark"
    assert session(member.key).get("cart") == ["tea"]


def test_a_slow_request_does_not_undo_a_logout_of_the_outage(session, member, outage):
    store = session(member.key)
    assert store.get("theme") == "dark"
    store.set("cart", ["tea"])
    with outage():
        session(member.key).flush()
        with pytest.raises(UpdateError):
            store.save()
        late = session(member.key)
        late.store._session_cache = {"_auth_user_id": "1"}
        with pytest.raises(SessionInterrupted):
            late.cycle_key()
    assert session(member.key).load() == {}


def test_an_expiry_in_the_past_ends_a_session_in_an_outage_too(session, member, outage):
    with outage():
        store = session(member.key)
        store.set_expiry(-10)
        store.save()
        assert store.exists(member.key) is False
    assert session(member.key).load() == {}


def test_keys_are_known_or_unknown_to_the_table_alone(session, member, outage):
    with outage():
        assert session().exists(member.key) is False
        store = session()
        store.create()
        assert session().exists(store.key) is True
        assert session(store.key).load() == {}
        assert session(store.key).key == store.key


# ---- what the table gives away


def test_a_row_holds_no_session_key_and_makes_no_cookie(visitor, outage, settings):
    browser = visitor()
    with outage():
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


def test_a_row_that_was_copied_to_another_session_is_not_read(visitor, outage):
    browser, attacker = visitor(), visitor()
    with outage():
        browser.get("login")
        attacker.put(theme="dark")
        theirs = SessionStore(browser.key)._address(browser.key)
        mine = SessionStore(attacker.key)._address(attacker.key)
        rows = {row.session_key: row for row in Session.objects.all()}
        stolen = rows[f"upstash-{theirs.digest[:32]}"].session_data
        Session.objects.filter(session_key=f"upstash-{mine.digest[:32]}").update(
            session_data=stolen
        )
        assert whoami(attacker) == ""


# ---- its limits


def test_an_engine_without_a_table_is_refused(settings):
    settings.SESSION_FALLBACK_ENGINE = "django.contrib.sessions.backends.cache"
    with pytest.raises(ImproperlyConfigured, match="It must keep sessions in a table"):
        SessionStore("somesession").load()


def test_the_index_of_users_needs_the_database(ada, outage):
    with outage(), pytest.raises(SessionStoreUnavailable):
        index.logout_everywhere(ada)
