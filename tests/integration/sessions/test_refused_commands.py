"""Sessions while the database refuses commands: no user is logged out, no page fails with 500."""

from __future__ import annotations

import pytest

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.command_table import COMMANDS
from continuum_upstash.transports import registry
from continuum_upstash.transports.service_errors import MEANINGS, SERVICE_TEXTS, Meaning
from tests.integration.fake_database import PASS, SECRET

TEXTS = [
    pytest.param(text, MEANINGS[row.error], id=text[:40])
    for row in SERVICE_TEXTS
    for text in row.examples[:1]
    if MEANINGS[row.error] is not Meaning.COMMAND
]


@pytest.fixture
def visitor(remote, configure, fake_database, new_browser, settings):
    """A browser whose session has a theme, in the fake database."""
    settings.SESSION_SAVE_EVERY_REQUEST = settings.SESSION_ALLOW_EVICTION = True
    options = {"TOKEN": SECRET} if remote == "rest" else {}
    configure(remote, fake_database.url(remote), **options)
    browser = new_browser()
    assert browser.put(theme="dark").status_code == 200
    return browser


def refuse(database, text, meaning):
    def intercept(name, *_):
        spec = COMMANDS[name]
        if meaning is Meaning.FULL:
            refused = spec.writes and not spec.deletes
        else:
            refused = spec.writes or meaning is not Meaning.READ_ONLY
        return ReplyError(text) if refused else PASS

    database.intercept = intercept


@pytest.mark.parametrize(("text", "meaning"), TEXTS)
def test_a_session_is_read_or_unavailable_and_never_lost(text, meaning, visitor, fake_database):
    refuse(fake_database, text, meaning)
    can_read = meaning in {Meaning.FULL, Meaning.READ_ONLY}
    for _ in range(2):
        response = visitor.get("show")
        assert response.status_code == (200 if can_read else 503)
        assert not can_read or response.json() == {"theme": "dark"}
    assert visitor.put(theme="light").status_code == 503
    fake_database.intercept = lambda *_: PASS
    for database in registry.list_databases():
        database.failover.breaker.reset()
    assert visitor.read_session() == {"theme": "dark"}


@pytest.mark.parametrize(
    ("text", "meaning", "status"),
    [
        ("ERR DB capacity quota exceeded", Meaning.FULL, 200),
        ("READONLY Writes are temporarily rejected", Meaning.READ_ONLY, 503),
    ],
)
def test_a_session_ends_while_the_database_is_full(text, meaning, status, visitor, fake_database):
    refuse(fake_database, text, meaning)
    assert visitor.get("logout").status_code == status
    fake_database.intercept = lambda *_: PASS
    assert visitor.read_session() == ({} if status == 200 else {"theme": "dark"})
