from __future__ import annotations

from itertools import count

import pytest

from continuum_upstash.transports import registry
from tests.integration.panel import panel_site
from tests.integration.panel.panel_html import Page
from tests.integration.panel.panel_site import Accounts

_numbers = count()


@pytest.fixture
def accounts(transactional_db):
    return Accounts()


@pytest.fixture
def configure_panel(settings, request, new_process_state):
    """Return a function that puts the alias "default" on a transport: rest, tcp or local."""
    settings.ROOT_URLCONF = panel_site.__name__

    def configure(transport="rest", location=None, **options):
        if transport == "local":
            location, options = "", {"MODE": "local", **options}
        elif location is None:
            emulator = request.getfixturevalue("emulator")
            location = emulator.rest_url if transport == "rest" else emulator.redis_url
            if transport == "rest":
                options = {"TOKEN": emulator.token, **options}
        settings.CACHES = {
            "default": {
                "BACKEND": "continuum_upstash.backend.CacheBackend",
                "LOCATION": location,
                "KEY_PREFIX": f"panel{next(_numbers)}",
                "OPTIONS": options,
            }
        }

    yield configure
    registry.reset()


@pytest.fixture
def panel(configure_panel):
    """Put the alias "default" on the emulator, over REST."""
    configure_panel()


@pytest.fixture
def visit(client, accounts):
    """Return a function that opens a page as a user of the accounts."""

    def open_page(path, who="operator", **headers):
        client.force_login(getattr(accounts, who)())
        return Page(client.get(path, headers=headers))

    return open_page
