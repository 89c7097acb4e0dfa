"""The check of the health endpoints: a redirected probe never fails."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext

from continuum_upstash.checks.catalogue import check_message


def check_probes(**_: Any) -> list[CheckMessage]:
    """Check whether SecurityMiddleware redirects liveness and readiness probes."""
    if not settings.SECURE_SSL_REDIRECT or not getattr(settings, "ROOT_URLCONF", None):
        return []
    found = []
    exempt = [re.compile(pattern) for pattern in settings.SECURE_REDIRECT_EXEMPT]
    for name in ("live", "ready"):
        with suppress(NoReverseMatch):
            # SecurityMiddleware matches its patterns against the path without the first slash.
            path = reverse(f"continuum_upstash:{name}").lstrip("/")
            if not any(pattern.search(path) for pattern in exempt):
                text = gettext("SECURE_SSL_REDIRECT redirects probes of {path} (status 301).")
                found.append(check_message("W021", text.format(path=path)))
    return found
