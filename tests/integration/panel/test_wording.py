"""Every word of the panel can be translated, except for data."""

from __future__ import annotations

import re

import pytest
from django.core.cache import cache, caches
from django.utils import translation

from tests.integration.panel.panel_html import Page
from tests.integration.panel.panel_site import (
    HOME,
    keys_page,
    make_totals,
    now,
    page,
    write_history,
)

DATA = re.compile(
    r"[A-Z_0-9]+"  # options, commands, variables
    r"|default|root|upstash-rest|local|closed|forced_open|noeviction|for|a|test"
    r"|query:|api|2/h|strict|msgpack|signed|prefix|drop|rest|DeadlineExceeded|ms|s|KB|MB|bytes"
    r"|query:1|report:|report:2|string|dict|name|ada|panel\d+:1:(report:2)?"
)


@pytest.fixture
def marked(monkeypatch):
    """Put every translation in brackets."""
    monkeypatch.setattr(translation._trans, "gettext", lambda text: f"⟦{text}⟧")
    monkeypatch.setattr(translation._trans, "pgettext", lambda context, text: f"⟦{text}⟧")
    monkeypatch.setattr(
        translation._trans, "ngettext", lambda one, many, n: f"⟦{one if n == 1 else many}⟧"
    )


@pytest.mark.parametrize(
    "path",
    [
        *(HOME, page() + "?sample=1", page("do/open"), page("clear") + "?family=query"),
        *(keys_page(details=1), keys_page(q="absent"), keys_page("key", key="report:2")),
        *(keys_page("delete-keys", key="query:1"), keys_page("delete-pattern", q="query:*")),
    ],
)
def test_every_word_can_be_translated(path, panel, client, accounts, settings, request):
    settings.CONTINUUM_RATELIMIT = {"POLICIES": {"api": {"rate": "2/h"}}}
    cache.set("query:1", 1)
    cache.set("report:2", {"name": "ada"}, tags=["report:"])
    write_history({now(): make_totals(40, 30, errors=3)}, "hour")
    caches["default"].database.failover.breaker.force_open("for a test")
    caches["default"].database.failover.breaker.reset("for a test")
    client.force_login(accounts.superuser())
    request.getfixturevalue("marked")
    response = client.get(path)
    response.content = re.sub(rb"(?s)<pre class=.ck-bytes.*?</pre>", b"", response.content)
    text = Page(response).text
    assert "⟦" in text
    while (left := re.sub(r"⟦[^⟦⟧]*⟧", " ", text)) != text:
        text = left
    words = re.findall(r"[\w:/-]*[A-Za-z][\w:/-]*", text)
    assert {word for word in words if not DATA.fullmatch(word)} == set()
