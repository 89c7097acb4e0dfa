from __future__ import annotations

import pytest

EMAIL, KEY = "dev@example.com", "account-key-41f7"


@pytest.fixture
def account(site, emulator, monkeypatch):
    """Return a function that gives the emulator's database an account, and the site its key."""

    def give(**options):
        url = emulator.set_account(EMAIL, KEY, **options)
        monkeypatch.setenv("UPSTASH_EMAIL", EMAIL)
        monkeypatch.setenv("UPSTASH_API_KEY", KEY)
        monkeypatch.setenv("UPSTASH_API_URL", url)

    return give
