"""The key that a request names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from django.http import HttpRequest

from continuum_upstash.panel.key_browser.masking import (
    Protection,
    mask_key,
)
from continuum_upstash.panel.key_browser.scope import KeyScope
from continuum_upstash.panel.key_browser.values.visible_text import escape_text


@dataclass(frozen=True, slots=True)
class ChosenKey:
    """
    Attributes:
        scope: how it was named.
        key: its name in the scope.
        full_key: the Redis key.
        protection: why it is protected; None: it is not.
    """

    scope: KeyScope
    key: str
    full_key: str
    protection: Protection | None

    @property
    def logged(self) -> str:
        """The key for the history, masked where the list masks it."""
        return f"“{escape_text(mask_key(self.key))}”"

    @property
    def shown(self) -> str:
        """The key for its own page: a user who has named it knows it."""
        return self.protection.masked if self.protection else escape_text(self.key)

    @property
    def binding(self) -> str:
        """What a position in its elements is signed for."""
        return f"{self.scope.cache.database.config.alias}:elements:{self.full_key}"

    @property
    def query(self) -> dict[str, Any]:
        """What names the key in a URL."""
        return {"key": self.key} | ({"raw": 1} if self.scope.is_raw else {})


def choose_key(scope: KeyScope, key: str) -> ChosenKey | None:
    """Return the key that a request names; None: the scope has no such key."""
    full_key = scope.make_full_key(key)
    if full_key is None or not scope.has_page(key, full_key):
        return None
    return ChosenKey(scope, key, full_key, scope.protections.find(full_key))


def list_named_keys(request: HttpRequest) -> list[str]:
    """Return the keys that a request names, each once.

    Those of a form are percent-encoded: HTML has no NUL, and browsers change line breaks.
    """
    if request.method != "POST":
        return list(dict.fromkeys(request.GET.getlist("key")))
    return list(dict.fromkeys(map(unquote, request.POST.getlist("key"))))
