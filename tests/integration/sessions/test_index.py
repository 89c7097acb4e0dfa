"""The sessions of a user: listed, ended, counted, and right after whatever happened to them."""

from __future__ import annotations

import pytest
from django.contrib.auth import update_session_auth_hash
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory

from continuum_upstash.errors import SessionStoreUnavailable
from continuum_upstash.sessions import SessionStore, index
from tests.integration.sessions.session_site import records


@pytest.fixture
def devices(site, visitor, ada, bob):
    """Three browsers of ada's, and one of bob's."""
    browsers = [visitor() for _ in range(4)]
    for number, browser in enumerate(browsers):
        browser.get(f"login?user={'bob' if number == 3 else 'ada'}")
        browser.put(device=f"device {number}")
    return browsers


@pytest.fixture
def call(api, request):
    """Return a function that calls one of the index's, or its twin."""
    if api == "sync":
        return lambda name, *args, **kwargs: getattr(index, name)(*args, **kwargs)
    runner = request.getfixturevalue("runner")

    def awaited(name, *args, **kwargs):
        async def main():
            return await getattr(index, f"a{name}")(*args, **kwargs)

        return runner.run(main())

    return awaited


def redis():
    return caches["sessions"].client.redis


def listed(user):
    """Return what the index holds, however stale."""
    return redis().zcard(f"{caches['sessions'].key_prefix}:session-user:{user.pk}")


def test_a_users_sessions_are_listed_with_their_data(devices, ada, bob, call):
    found = call("active_sessions", ada, SessionStore(devices[1].key))
    assert {each.data["device"] for each in found} == {"device 0", "device 1", "device 2"}
    assert [each.current for each in found] == [True, False, False]
    assert found[0].data["device"] == "device 1"
    assert len(call("active_sessions", bob)) == 1


def test_logging_out_everywhere_ends_the_users_sessions_and_no_others(devices, ada, bob, call):
    assert call("logout_everywhere", ada) == 3
    assert [browser.get("whoami").content for browser in devices] == [b"", b"", b"", b"bob"]
    assert (listed(ada), listed(bob)) == (0, 1)
    assert call("logout_everywhere", ada) == 0


def test_logging_out_elsewhere_keeps_this_session(devices, ada, call):
    assert call("logout_everywhere", ada, keep=SessionStore(devices[0].key)) == 2
    assert [browser.get("whoami").content for browser in devices[:3]] == [b"ada", b"", b""]
    assert listed(ada) == 1


def test_one_session_is_ended_by_its_id(devices, ada, bob, call):
    theirs = call("active_sessions", bob)[0]
    assert call("end_session", ada, theirs.id) is False
    mine = next(each for each in call("active_sessions", ada) if each.data["device"] == "device 2")
    assert call("end_session", ada, mine.id) is True
    assert [browser.get("whoami").content for browser in devices] == [b"ada", b"ada", b"", b"bob"]
    assert call("end_session", ada, mine.id) is False


def test_an_id_is_no_cookie(devices, ada, visitor, call):
    thief = visitor()
    thief.cookies["sessionid"] = call("active_sessions", ada)[0].id
    assert thief.get("whoami").content == b""


def test_a_logout_leaves_the_index(devices, ada):
    devices[0].get("logout")
    assert listed(ada) == 2


def test_an_expired_session_leaves_the_index_when_it_is_next_listed(devices, ada, call):
    SessionStore(devices[0].key).delete()  # unread, so that nobody knows whose it was
    assert listed(ada) == 3
    assert len(call("active_sessions", ada)) == 2
    assert listed(ada) == 2


def test_the_index_outlives_every_session_in_it(devices, ada, settings):
    name = f"{caches['sessions'].key_prefix}:session-user:{ada.pk}"
    assert redis().ttl(name) > 2 * settings.SESSION_COOKIE_AGE - 5
    store = SessionStore(devices[0].key)
    store.set_expiry(10 * settings.SESSION_COOKIE_AGE)
    store.save()
    assert redis().ttl(name) > 20 * settings.SESSION_COOKIE_AGE - 5
    devices[1].get("login")
    devices[1].get("logout")
    assert redis().ttl(name) > 20 * settings.SESSION_COOKIE_AGE - 5


def test_a_new_password_keeps_this_session_listed(devices, ada, call):
    request = RequestFactory().post("/")
    request.session, request.user = SessionStore(devices[0].key), ada
    before = request.session.session_key
    update_session_auth_hash(request, ada)
    request.session.save()
    assert request.session.session_key != before
    assert listed(ada) == 3
    assert len(call("active_sessions", ada, request.session)) == 3
    assert call("active_sessions", ada, request.session)[0].current


def test_another_user_in_the_same_browser_changes_the_index(devices, ada, bob):
    devices[0].get("login?user=bob")
    assert (listed(ada), listed(bob)) == (2, 2)


def test_sessions_of_a_replaced_secret_are_listed_and_stay_so(devices, ada, settings, call):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    assert len(call("active_sessions", ada)) == 3
    devices[0].put(device="moved")
    found = call("active_sessions", ada, SessionStore(devices[0].key))
    assert len(found) == 3
    assert found[0].data["device"] == "moved"
    assert (found[0].current, listed(ada)) == (True, 3)
    assert call("logout_everywhere", ada) == 3
    assert len(records()) == 1


def test_sessions_of_before_the_index_are_listed_once_they_are_saved(
    site, visitor, ada, settings, call
):
    settings.SESSION_USER_INDEX = False
    browser = visitor()
    browser.get("login")
    settings.SESSION_USER_INDEX = True
    assert call("active_sessions", ada) == []
    browser.put(device="phone")
    assert len(call("active_sessions", ada)) == 1


def test_without_the_index_nobody_is_told_that_there_are_no_sessions(site, ada, settings, call):
    settings.SESSION_USER_INDEX = False
    with pytest.raises(ImproperlyConfigured, match="SESSION_USER_INDEX is False"):
        call("active_sessions", ada)


def test_counts(devices, visitor, call):
    visitor().put(theme="dark")
    counts = call("count_sessions")
    assert (counts.sessions, counts.users, counts.complete) == (5, 2, True)


def test_counting_stops_where_it_is_told_to(site, call):
    redis().mset({f"filler:{number}": number for number in range(3000)})
    assert call("count_sessions", 1).complete is False


def test_listing_costs_two_commands_and_ending_all_three(devices, ada, emulator, call):
    with emulator.count() as spent:
        call("active_sessions", ada)
    assert spent.billed == 2
    with emulator.count() as spent:
        call("logout_everywhere", ada)
    assert spent.billed == 3


def test_an_outage_is_said(devices, ada, emulator, call):
    with emulator.fault("refuse", side="both"), pytest.raises(SessionStoreUnavailable):
        call("logout_everywhere", ada)


def test_an_index_does_not_grow_with_logins_of_long_ago(devices, ada, visitor):
    name = f"{caches['sessions'].key_prefix}:session-user:{ada.pk}"
    redis().zadd(name, {f"digest{number}": 1_000_000 + number for number in range(50)})
    assert listed(ada) == 53
    visitor().get("login")
    assert listed(ada) == 4
