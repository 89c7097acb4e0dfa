"""Read your own session on a global database: the sync token travels with the visitor.

Reads of a global database come from the nearest replica. After a login the next request may reach
another instance, near a replica that has not heard of the session yet: "no such session". The
token of the write, sent along with the read, makes the replica catch up first.

The cookie is signed, since whoever chose the token could make replicas wait, and lives for as long
as a replica may reasonably lag.
"""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from continuum_upstash.sessions.runner import SessionDatabase
from continuum_upstash.transports.rest import sync_token

SECONDS: Final = 60
_SALT: Final = "continuum_upstash.sessions.sync"


def name() -> str:
    return f"{settings.SESSION_COOKIE_NAME}_sync"


def learn(request: HttpRequest) -> None:
    """Let this request's reads know of what the visitor's last one wrote."""
    cookie = request.COOKIES.get(name())
    url = SessionDatabase().config.rest_url if cookie else None
    if cookie is None or url is None:
        return
    try:
        token: str = signing.loads(cookie, salt=_SALT, max_age=SECONDS)
    except signing.BadSignature:
        return
    sync_token.current().learn(url, token.encode())


def tell(response: HttpResponse) -> None:
    """Let the visitor's next request know of what this one wrote."""
    url = SessionDatabase().config.rest_url
    token = sync_token.current().get(url) if url else None
    if token is None:
        return
    response.set_cookie(
        name(),
        signing.dumps(token.decode("latin-1"), salt=_SALT),
        max_age=SECONDS,
        domain=settings.SESSION_COOKIE_DOMAIN,
        path=settings.SESSION_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite=settings.SESSION_COOKIE_SAMESITE,
    )
