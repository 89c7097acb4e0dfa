"""Policies for common needs, to be added to ``CONTINUUM_RATELIMIT["POLICIES"]``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

_LOGIN: Final[Mapping[str, Any]] = MappingProxyType(
    # on_error: passwords must not be guessed without a limit while the limiter is unavailable.
    # headers: they would show how many attempts another client has used up.
    {"methods": ["POST"], "on_error": "deny", "headers": False}
)

LOGIN: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "login-ip": {**_LOGIN, "rate": "30/5m", "key": "ip"},
        "login-username": {**_LOGIN, "rate": "100/h", "key": "post:username"},
        "login-pair": {**_LOGIN, "rate": "5/5m", "key": "ip+post:username"},
    }
)
"""Three limits for a login form.

By address: one password tried on many accounts. By account: one account tried from many addresses;
this limit is high, so that an attacker cannot easily lock a user out. By both, with a low limit:
repeated attempts on one account from one address. A request that one of them denies is charged to
none.
"""
