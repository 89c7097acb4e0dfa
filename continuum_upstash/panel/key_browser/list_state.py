"""The state of the key list, in its URL."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

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
