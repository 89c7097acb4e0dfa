"""The key list: its state in the URL, and its context."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from continuum_upstash.errors import ConfigurationError, ContinuumError
from continuum_upstash.keys import escape_glob
from continuum_upstash.panel.key_browser.masking import is_family_hidden
from continuum_upstash.panel.key_browser.position import START, Position
from continuum_upstash.panel.key_browser.scope import KeyScope
from continuum_upstash.panel.key_browser.search import (
    DETAIL_COMMANDS,
    MAX_DETAILS,
    MAX_SCANS,
    Search,
    SearchPage,
    find_keys,
)

_NAMES = {"text": "q", "is_raw": "raw", "shows_hidden": "hidden", "wants_details": "details"}


@dataclass(frozen=True, slots=True)
class ListState:
    """
    Attributes:
        text: of the search.
        is_raw: whether it is about full Redis keys.
        shows_hidden: whether keys are shown that are hidden by default.
        wants_details: whether the type, expiry and size of each key are shown.
    """

    text: str = ""
    is_raw: bool = False
    shows_hidden: bool = False
    wants_details: bool = False

    @classmethod
    def read(cls, query: QueryDict) -> ListState:
        flags = {name: _NAMES[name] in query for name in _NAMES if name != "text"}
        return cls(query.get("q", ""), **flags)

    def encode(self, **more: str) -> str:
        """Return the query string, with its question mark if it is not empty."""
        query: dict[str, Any] = {
            _NAMES[each.name]: value if isinstance(value, str) else 1
            for each in fields(self)
            if (value := getattr(self, each.name))
        }
        return f"?{urlencode(query | more)}" if query or more else ""

    def encode_with(self, **changes: Any) -> str:
        """Return the query string of a changed state."""
        return replace(self, **changes).encode()


def describe_list(scope: KeyScope, state: ListState, cursor: str) -> dict[str, Any]:
    """Return the keys that match a search, and the links of the page.

    Args:
        scope: the keys.
        state: the search.
        cursor: the signed position of the page; empty: the first page.
    """
    binding = f"{scope.cache.database.config.alias}:{scope.is_raw}:{state.text}"
    position = Position.read(cursor, binding) if cursor else START
    context: dict[str, Any] = {"state": state, "is_expired": position is None}
    search = Search(scope, state.text, position or START, state.shows_hidden, state.wants_details)
    context |= {"prefix": _get_prefix(scope), "families": [], "max_scans": MAX_SCANS}
    try:
        page = scope.cache.run(find_keys(search))
    except ContinuumError as error:
        return context | {"page": None, "problem": str(error)}
    return context | {
        "page": page,
        "families": _list_families(scope, state, page),
        "next": "" if page.is_complete else state.encode(cursor=page.position.sign(binding)),
        "detail_cost": DETAIL_COMMANDS * min(len(page.rows), MAX_DETAILS),
        "with_details": state.encode(details="1", **({"cursor": cursor} if cursor else {})),
        "hidden_count": sum(row.is_hidden for row in page.rows),
        "with_hidden": state.encode_with(shows_hidden=True),
        "without_text": state.encode_with(text="") or "?",
        "selectable": any(row.key is not None for row in page.rows),
    }


def _get_prefix(scope: KeyScope) -> str:
    """Return what stands before each key; empty: the key function hides it."""
    if scope.is_raw:
        return ""
    try:
        return scope.make_pattern("").prefix
    except ConfigurationError:
        return ""


def _list_families(scope: KeyScope, state: ListState, page: SearchPage) -> list[dict[str, Any]]:
    """Return the families of the page's keys, and those that have a TTL in the settings."""
    found = {
        each.name: each.seen
        for each in page.families
        if state.shows_hidden or not is_family_hidden(each.name)
    }
    ttl_by_prefix = scope.cache.database.config.ttl_by_prefix
    configured = [] if scope.is_raw else [name for name, _ in ttl_by_prefix]
    return [
        {
            "name": name,
            "seen": found.get(name),
            "url": state.encode_with(text=f"{escape_glob(name)}*"),
            "is_selected": state.text == f"{escape_glob(name)}*",
        }
        for name in dict.fromkeys([*found, *configured])
    ]
