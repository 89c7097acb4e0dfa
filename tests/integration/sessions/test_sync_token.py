"""A global database whose replica lags: a cookie carries the sync token of the visitor's login."""

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
def on_another_instance(api):
    """Return a function that runs a request on another instance, which has no sync token."""
    if api == "async":
        return lambda visit: visit()  # each request has a context of its own there

    def run(visit):
        with ThreadPoolExecutor(1) as instance:
            return instance.submit(visit).result()

    return run


@pytest.mark.usefixtures("lagging")
def test_after_a_login_another_instance_finds_the_session(new_browser, on_another_instance):
    browser = new_browser()
    on_another_instance(lambda: browser.get("login"))
    assert on_another_instance(lambda: browser.get("whoami")).content == b"ada"
    on_another_instance(lambda: browser.put(theme="dark"))
    assert on_another_instance(browser.read_session)["theme"] == "dark"


@pytest.mark.usefixtures("lagging")
def test_without_the_cookie_a_lagging_replica_logs_the_visitor_out(
    new_browser, on_another_instance
):
    browser = new_browser()
    on_another_instance(lambda: browser.get("login"))
    del browser.cookies[sync_token_cookie.get_name()]
    assert on_another_instance(lambda: browser.get("whoami")).content == b""
    assert browser.key is None


def test_the_cookie_is_signed_and_expires_soon(site, new_browser, ada):
    browser = new_browser()
    cookie = browser.get("login").cookies[sync_token_cookie.get_name()]
    assert cookie["max-age"] == sync_token_cookie.MAX_AGE
    assert cookie["httponly"]
    assert signing.loads(cookie.value, salt="continuum_upstash.sessions.sync")


@pytest.mark.usefixtures("lagging")
@pytest.mark.parametrize(
    "cookie",
    ["", "zzzz", signing.dumps("zzzz", key="another", salt="s")],
    ids=["empty", "unsigned", "signed with another key"],
)
def test_a_forged_token_is_not_sent(new_browser, cookie, on_another_instance):
    browser = new_browser()
    on_another_instance(lambda: browser.get("login"))
    browser.cookies[sync_token_cookie.get_name()] = cookie
    # If the token had been sent, the replica would have caught up.
    assert on_another_instance(lambda: browser.get("whoami")).content == b""


def test_a_request_without_a_write_sets_no_cookie(site, new_browser, ada):
    browser = new_browser()
    browser.get("login")
    assert sync_token_cookie.get_name() not in browser.get("whoami").cookies


def test_over_tcp_there_is_no_sync_token(configure, new_browser, ada):
    configure("tcp")
    browser = new_browser()
    assert sync_token_cookie.get_name() not in browser.get("login").cookies
    assert browser.get("whoami").content == b"ada"
