"""What a request's session costs, by the emulator's count: billed commands and round trips.

A site without the index of users' sessions, then what the index adds.
"""

from __future__ import annotations

import pytest

from continuum_upstash.observe import CommandDetails, subscribe, unsubscribe

pytestmark = pytest.mark.usefixtures("site")


@pytest.fixture
def no_index(settings):
    settings.SESSION_USER_INDEX = False


@pytest.fixture
def spent(emulator):
    """Return a function that tells (billed commands, round trips) of what it is given to do."""
    trips = []

    def note(record):
        if isinstance(record, CommandDetails):
            trips.append(record)

    def measure(action):
        trips.clear()
        with emulator.count() as count:
            response = action()
        assert response.status_code < 500
        return count.billed, len(trips)

    subscribe(note)
    yield measure
    unsubscribe(note)


@pytest.fixture
def regular(visitor):
    """A visitor with a session."""
    browser = visitor()
    browser.put(theme="dark")
    return browser


@pytest.fixture
def member(visitor, ada):
    browser = visitor()
    browser.get("login")
    return browser


def test_a_page_without_session_costs_nothing(regular, spent):
    assert spent(lambda: regular.get("plain")) == (0, 0)


def test_a_visitor_without_cookie_costs_nothing_until_something_is_stored(visitor, spent):
    browser = visitor()
    assert spent(lambda: browser.get("show")) == (0, 0)
    assert spent(lambda: browser.put(theme="dark")) == (1, 1)


def test_reading_costs_one_command(regular, spent):
    assert spent(lambda: regular.get("show")) == (1, 1)


def test_reading_and_writing_costs_two(regular, spent):
    assert spent(lambda: regular.put(theme="light")) == (2, 2)


def test_a_garbage_cookie_costs_nothing_and_an_unknown_one_a_read(visitor, spent):
    browser = visitor()
    browser.cookies["sessionid"] = "not a key"
    assert spent(lambda: browser.get("show")) == (0, 0)
    browser.cookies["sessionid"] = "x" * 32
    assert spent(lambda: browser.get("show")) == (1, 1)


def test_saving_every_request_costs_one_command(regular, spent, settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    assert spent(lambda: regular.get("show")) == (1, 1)
    assert spent(lambda: regular.get("plain")) == (1, 1)
    assert spent(lambda: regular.put(theme="light")) == (2, 2)


def test_saving_every_request_creates_nothing_for_an_unknown_cookie(visitor, spent, settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    browser = visitor()
    browser.cookies["sessionid"] = "x" * 32
    assert spent(lambda: browser.get("show")) == (1, 1)
    assert browser.key is None


@pytest.mark.usefixtures("no_index")
def test_a_login_costs_at_most_three_round_trips(visitor, regular, ada, spent):
    # Without a session: SET NX, SET XX.
    assert spent(lambda: visitor().get("login")) == (2, 2)
    # With one: GET, a script of two commands, SET XX.
    assert spent(lambda: regular.get("login")) == (5, 3)


@pytest.mark.usefixtures("no_index")
def test_a_logout_costs_one_command_beside_the_read(member, spent):
    assert spent(lambda: member.get("logout")) == (2, 2)


def test_the_index_adds_four_commands_to_a_login_and_one_to_a_logout(visitor, regular, ada, spent):
    browser = visitor()
    assert spent(lambda: browser.get("login")) == (2 + 4, 2)
    assert spent(lambda: regular.get("login")) == (5 + 4, 3)
    assert spent(lambda: browser.put(theme="dark")) == (2, 2)
    assert spent(lambda: browser.get("logout")) == (2 + 1, 2)


@pytest.mark.usefixtures("no_index")
def test_merging_costs_no_more_on_upstash(regular, spent, settings, remote):
    settings.SESSION_MERGE = True
    # On a plain Redis, which bills nothing, the compare-and-set is a script of two commands.
    assert spent(lambda: regular.put(theme="light")) == (2 if remote == "rest" else 4, 2)
