"""Read-your-writes on a global database: a cookie carries the visitor's sync token.

A global database serves reads from the nearest replica. After a login, the visitor's next request
may reach another instance, whose replica does not have the new session yet: "no such session". If
the sync token of the write is sent with the read, the replica catches up first.

The cookie is signed, because a forged token could make replicas wait. Its lifetime is longer than a
replica is expected to lag.
"""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from continuum_upstash.sessions.session_runner import SessionRunner
from continuum_upstash.transports.rest import sync_token

MAX_AGE: Final = 60  # seconds
_SALT: Final = "continuum_upstash.sessions.sync"


def get_name() -> str:
    return f"{settings.SESSION_COOKIE_NAME}_sync"


def read_cookie(request: HttpRequest) -> None:
    """Send the sync token of the visitor's last write with the reads of this request."""
    cookie = request.COOKIES.get(get_name())
    url = SessionRunner().config.rest_url if cookie else None
    if cookie is None or url is None:
        return
    try:
        token: str = signing.loads(cookie, salt=_SALT, max_age=MAX_AGE)
    except signing.BadSignature:
        return
    sync_token.get_tokens().update(url, token.encode())


def set_cookie(response: HttpResponse) -> None:
    """Store the sync token of this request's last write for the visitor's next request."""
    url = SessionRunner().config.rest_url
    token = sync_token.get_tokens().get(url) if url else None
    if token is None:
        return
    response.set_cookie(
        get_name(),
        signing.dumps(token.decode("latin-1"), salt=_SALT),
        max_age=MAX_AGE,
        domain=settings.SESSION_COOKIE_DOMAIN,
        path=settings.SESSION_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite=settings.SESSION_COOKIE_SAMESITE,
    )
