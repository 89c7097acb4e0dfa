"""A global database whose replica lags: the sync token of a login travels with its visitor."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core import signing

from continuum_upstash.sessions import sync_token_cookie

LAG = 30  # seconds: longer than any test takes


@pytest.fixture
def remote():
    return "rest"


@pytest.fixture
def lagging(site, emulator, ada):
    with emulator.fault("lag", seconds=LAG):
        yield


@pytest.fixture
def elsewhere(api):
    """Return a function that runs a request on another instance, which knows of no token."""
    if api == "async":
        return lambda visit: visit()  # each request has a context of its own there

    def run(visit):
        with ThreadPoolExecutor(1) as instance:
            return instance.submit(visit).result()

    return run


@pytest.mark.usefixtures("lagging")
def test_after_a_login_the_next_request_on_another_instance_knows_the_user(visitor, elsewhere):
    browser = visitor()
    elsewhere(lambda: browser.get("login"))
    assert elsewhere(lambda: browser.get("whoami")).content == b"ada"
    elsewhere(lambda: browser.put(theme="dark"))
    assert elsewhere(browser.session)["theme"] == "dark"


@pytest.mark.usefixtures("lagging")
def test_without_the_cookie_the_replica_would_have_logged_the_visitor_out(visitor, elsewhere):
    browser = visitor()
    elsewhere(lambda: browser.get("login"))
    del browser.cookies[sync_token_cookie.name()]
    assert elsewhere(lambda: browser.get("whoami")).content == b""
    assert browser.key is None


def test_the_cookie_is_signed_and_ends_soon(site, visitor, ada):
    browser = visitor()
    cookie = browser.get("login").cookies[sync_token_cookie.name()]
    assert cookie["max-age"] == sync_token_cookie.SECONDS
    assert cookie["httponly"]
    assert signing.loads(cookie.value, salt="continuum_upstash.sessions.sync")


@pytest.mark.usefixtures("lagging")
@pytest.mark.parametrize(
    "cookie",
    ["", "zzzz", signing.dumps("zzzz", key="another", salt="s")],
    ids=["empty", "unsigned", "signed by somebody else"],
)
def test_a_forged_token_is_not_passed_on(visitor, cookie, elsewhere):
    browser = visitor()
    elsewhere(lambda: browser.get("login"))
    browser.cookies[sync_token_cookie.name()] = cookie
    # A token that was passed on would have made the replica catch up.
    assert elsewhere(lambda: browser.get("whoami")).content == b""


def test_requests_that_write_nothing_set_no_such_cookie(site, visitor, ada):
    browser = visitor()
    browser.get("login")
    assert sync_token_cookie.name() not in browser.get("whoami").cookies


def test_over_tcp_there_is_no_token_to_carry(configure, visitor, ada):
    configure("tcp")
    browser = visitor()
    assert sync_token_cookie.name() not in browser.get("login").cookies
    assert browser.get("whoami").content == b"ada"
