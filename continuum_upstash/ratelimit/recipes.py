"""Policies for common needs, to be taken into ``CONTINUUM_RATELIMIT["POLICIES"]``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

_LOGIN: Final[Mapping[str, Any]] = MappingProxyType(
    # Guesses must not be free while the limiter is away, and a stranger is not told how many
    # somebody else has used up.
    {"methods": ["POST"], "on_error": "deny", "headers": False}
)

LOGIN: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "login-ip": {**_LOGIN, "rate": "30/5m", "key": "ip"},
        "login-username": {**_LOGIN, "rate": "100/h", "key": "post:username"},
        "login-pair": {**_LOGIN, "rate": "5/5m", "key": "ip+post:username"},
    }
)
"""Three limits for a login form. By address, against a password tried on many accounts; by
account, loosely, against many addresses that try one, and so that nobody can lock another one out
cheaply; and strictly by both, for the ordinary attempt. All or nothing: what one of them refuses
counts for none."""
