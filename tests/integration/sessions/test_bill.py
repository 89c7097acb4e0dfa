"""Billed commands and round trips of a request's session, counted by the emulator.

First without the user index, then what the index adds.
"""

from __future__ import annotations

import pytest

from continuum_upstash.observe import CommandDetails, subscribe, unsubscribe
from tests.python_calls import count_python_calls

pytestmark = pytest.mark.usefixtures("site")


@pytest.fixture
def no_index(settings):
    settings.SESSION_USER_INDEX = False


@pytest.fixture
def count_cost(emulator):
    """Return a function that returns (billed commands, round trips) of a request."""
    batches = []

    def append(record):
        if isinstance(record, CommandDetails):
            batches.append(record)

    def measure(request):
        batches.clear()
        with emulator.count() as count:
            response = request()
        assert response.status_code < 500
        return count.billed, len(batches)

    subscribe(append)
    yield measure
    unsubscribe(append)


@pytest.fixture
def visitor(new_browser):
    """A browser with a session, not logged in."""
    browser = new_browser()
    browser.put(theme="dark")
    return browser


def test_a_page_that_does_not_access_its_session_costs_nothing(visitor, count_cost):
    assert count_cost(lambda: visitor.get("plain")) == (0, 0)


def test_a_visitor_without_a_cookie_costs_nothing_until_a_write(new_browser, count_cost):
    browser = new_browser()
    assert count_cost(lambda: browser.get("show")) == (0, 0)
    assert count_cost(lambda: browser.put(theme="dark")) == (1, 1)


def test_reading_costs_one_command(visitor, count_cost):
    assert count_cost(lambda: visitor.get("show")) == (1, 1)


def test_reading_and_writing_costs_two(visitor, count_cost):
    assert count_cost(lambda: visitor.put(theme="light")) == (2, 2)


def test_a_malformed_cookie_costs_nothing_and_an_unknown_one_a_read(new_browser, count_cost):
    browser = new_browser()
    browser.cookies["sessionid"] = "not a key"
    assert count_cost(lambda: browser.get("show")) == (0, 0)
    browser.cookies["sessionid"] = "x" * 32
    assert count_cost(lambda: browser.get("show")) == (1, 1)


def test_saving_every_request_costs_one_command(visitor, count_cost, settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    assert count_cost(lambda: visitor.get("show")) == (1, 1)
    assert count_cost(lambda: visitor.get("plain")) == (1, 1)
    assert count_cost(lambda: visitor.put(theme="light")) == (2, 2)


def test_saving_every_request_creates_nothing_for_an_unknown_cookie(
    new_browser, count_cost, settings
):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    browser = new_browser()
    browser.cookies["sessionid"] = "x" * 32
    assert count_cost(lambda: browser.get("show")) == (1, 1)
    assert browser.key is None


@pytest.mark.usefixtures("no_index")
def test_a_login_costs_at_most_three_round_trips(new_browser, visitor, ada, count_cost):
    # Without a session: SET NX, SET XX.
    assert count_cost(lambda: new_browser().get("login")) == (2, 2)
    # With one: GET, a script of two commands, SET XX.
    assert count_cost(lambda: visitor.get("login")) == (5, 3)


@pytest.mark.usefixtures("no_index")
def test_a_logout_costs_one_command_and_a_read(member, count_cost):
    assert count_cost(lambda: member.get("logout")) == (2, 2)


def test_the_index_adds_four_commands_to_a_login_and_one_to_a_logout(
    new_browser, visitor, ada, count_cost
):
    browser = new_browser()
    assert count_cost(lambda: browser.get("login")) == (2 + 4, 2)
    assert count_cost(lambda: visitor.get("login")) == (5 + 4, 3)
    assert count_cost(lambda: browser.put(theme="dark")) == (2, 2)
    assert count_cost(lambda: browser.get("logout")) == (2 + 1, 2)


@pytest.mark.usefixtures("no_index")
def test_merging_costs_no_more_on_upstash(visitor, count_cost, settings, remote):
    settings.SESSION_MERGE = True
    # On a plain Redis, which bills nothing, the compare-and-set is a script of two commands.
    assert count_cost(lambda: visitor.put(theme="light")) == (2 if remote == "rest" else 4, 2)


@pytest.mark.parametrize("api", ["sync"])
def test_a_save_makes_at_most_152_python_calls(open_session, api):
    session = open_session().store
    counts = []
    # The first save opens the connection; a later one may flush the shared statistics.
    for number in range(5):
        session["number"] = number
        counts.append(count_python_calls(session.save))
    assert min(counts) <= 152
