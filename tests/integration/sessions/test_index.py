"""The sessions of a user: list, end and count them."""

from __future__ import annotations

import pytest
from django.contrib.auth import update_session_auth_hash
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory

from continuum_upstash.errors import SessionStoreUnavailable
from continuum_upstash.sessions import SessionStore, index
from tests.integration.sessions.session_database import (
    count_indexed,
    get_redis,
    make_index_key,
    read_sessions,
)


@pytest.fixture
def devices(site, new_browser, ada, bob):
    """Three browsers of ada and one of bob."""
    browsers = [new_browser() for _ in range(4)]
    for number, browser in enumerate(browsers):
        browser.get(f"login?user={'bob' if number == 3 else 'ada'}")
        browser.put(device=f"device {number}")
    return browsers


@pytest.fixture
def call(api, request):
    """Return a function that calls a function of the index, or its async version."""
    if api == "sync":
        return lambda name, *args, **kwargs: getattr(index, name)(*args, **kwargs)
    runner = request.getfixturevalue("runner")

    def call_async(name, *args, **kwargs):
        async def main():
            return await getattr(index, f"a{name}")(*args, **kwargs)

        return runner.run(main())

    return call_async


def test_a_users_sessions_are_listed_with_their_data(devices, ada, bob, call):
    found = call("active_sessions", ada, SessionStore(devices[1].key))
    assert {each.data["device"] for each in found} == {"device 0", "device 1", "device 2"}
    assert [each.current for each in found] == [True, False, False]
    assert found[0].data["device"] == "device 1"
    assert len(call("active_sessions", bob)) == 1


def test_members_of_another_program_are_no_sessions(devices, bob, call):
    get_redis().zadd(make_index_key(bob.pk), {b"\xff": 2**33})
    assert len(call("active_sessions", bob)) == 1
    assert call("logout_everywhere", bob) == 1


def test_logout_everywhere_ends_the_users_sessions_only(devices, ada, bob, call):
    assert call("logout_everywhere", ada) == 3
    assert [browser.get("whoami").content for browser in devices] == [b"", b"", b"", b"bob"]
    assert (count_indexed(ada.pk), count_indexed(bob.pk)) == (0, 1)
    assert call("logout_everywhere", ada) == 0


def test_logout_everywhere_can_keep_one_session(devices, ada, call):
    assert call("logout_everywhere", ada, keep=SessionStore(devices[0].key)) == 2
    assert [browser.get("whoami").content for browser in devices[:3]] == [b"ada", b"", b""]
    assert count_indexed(ada.pk) == 1


def test_one_session_is_ended_by_its_id(devices, ada, bob, call):
    theirs = call("active_sessions", bob)[0]
    assert call("end_session", ada, theirs.id) is False
    mine = next(each for each in call("active_sessions", ada) if each.data["device"] == "device 2")
    assert call("end_session", ada, mine.id) is True
    assert [browser.get("whoami").content for browser in devices] == [b"ada", b"ada", b"", b"bob"]
    assert call("end_session", ada, mine.id) is False


def test_an_id_does_not_work_as_a_cookie(devices, ada, new_browser, call):
    thief = new_browser()
    thief.cookies["sessionid"] = call("active_sessions", ada)[0].id
    assert thief.get("whoami").content == b""


def test_a_logout_removes_the_session_from_the_index(devices, ada):
    devices[0].get("logout")
    assert count_indexed(ada.pk) == 2


def test_an_expired_session_is_removed_from_the_index_when_listed(devices, ada, call):
    SessionStore(devices[0].key).delete()  # not loaded, so its user is unknown
    assert count_indexed(ada.pk) == 3
    assert len(call("active_sessions", ada)) == 2
    assert count_indexed(ada.pk) == 2


def test_the_index_outlives_every_session_in_it(devices, ada, settings):
    index_key = make_index_key(ada.pk)
    assert get_redis().ttl(index_key) > 2 * settings.SESSION_COOKIE_AGE - 5
    store = SessionStore(devices[0].key)
    store.set_expiry(10 * settings.SESSION_COOKIE_AGE)
    store.save()
    assert get_redis().ttl(index_key) > 20 * settings.SESSION_COOKIE_AGE - 5
    devices[1].get("login")
    devices[1].get("logout")
    assert get_redis().ttl(index_key) > 20 * settings.SESSION_COOKIE_AGE - 5


def test_a_session_stays_indexed_after_a_password_change(devices, ada, call):
    request = RequestFactory().post("/")
    request.session, request.user = SessionStore(devices[0].key), ada
    before = request.session.session_key
    update_session_auth_hash(request, ada)
    request.session.save()
    assert request.session.session_key != before
    assert count_indexed(ada.pk) == 3
    assert len(call("active_sessions", ada, request.session)) == 3
    assert call("active_sessions", ada, request.session)[0].current


def test_a_login_as_another_user_moves_the_session_to_that_users_index(devices, ada, bob):
    devices[0].get("login?user=bob")
    assert (count_indexed(ada.pk), count_indexed(bob.pk)) == (2, 2)


def test_sessions_of_a_replaced_secret_are_and_stay_indexed(devices, ada, settings, call):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    assert len(call("active_sessions", ada)) == 3
    devices[0].put(device="moved")
    found = call("active_sessions", ada, SessionStore(devices[0].key))
    assert len(found) == 3
    assert found[0].data["device"] == "moved"
    assert (found[0].current, count_indexed(ada.pk)) == (True, 3)
    assert call("logout_everywhere", ada) == 3
    assert len(read_sessions()) == 1


def test_sessions_from_before_the_index_are_indexed_on_their_next_save(
    site, new_browser, ada, settings, call
):
    settings.SESSION_USER_INDEX = False
    browser = new_browser()
    browser.get("login")
    settings.SESSION_USER_INDEX = True
    assert call("active_sessions", ada) == []
    browser.put(device="phone")
    assert len(call("active_sessions", ada)) == 1


def test_without_the_index_listing_fails(site, ada, settings, call):
    settings.SESSION_USER_INDEX = False
    with pytest.raises(ImproperlyConfigured, match="SESSION_USER_INDEX is False"):
        call("active_sessions", ada)


def test_sessions_and_users_are_counted(devices, new_browser, call):
    new_browser().put(theme="dark")
    counts = call("count_sessions")
    assert (counts.sessions, counts.users, counts.complete) == (5, 2, True)


def test_counting_stops_at_the_limit(site, call):
    get_redis().mset({f"filler:{number}": number for number in range(3000)})
    assert call("count_sessions", 1).complete is False


def test_listing_costs_two_commands_and_ending_all_three(devices, ada, emulator, call):
    with emulator.count() as cost:
        call("active_sessions", ada)
    assert cost.billed == 2
    with emulator.count() as cost:
        call("logout_everywhere", ada)
    assert cost.billed == 3


def test_an_outage_raises(devices, ada, emulator, call):
    with emulator.fault("refuse", side="both"), pytest.raises(SessionStoreUnavailable):
        call("logout_everywhere", ada)


def test_a_login_removes_expired_entries_from_the_index(devices, ada, new_browser):
    index_key = make_index_key(ada.pk)
    get_redis().zadd(index_key, {f"digest{number}": 1_000_000 + number for number in range(50)})
    assert count_indexed(ada.pk) == 53
    new_browser().get("login")
    assert count_indexed(ada.pk) == 4
