"""Django's session middleware, async too, that can tell an outage from a logout."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, cast

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import Context, Engine, TemplateDoesNotExist, loader
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.utils.http import http_date
from django.utils.log import log_response

from continuum_upstash.errors import SessionStoreUnavailable
from continuum_upstash.sessions import SessionStore, sync_token_cookie
from continuum_upstash.sessions.runner import ImproperlyConfiguredSessions, SessionDatabase


class SessionMiddleware(DjangoSessionMiddleware):
    """Use it in place of Django's.

    While the session database cannot be asked, a request that needs its session is answered with
    503 and Retry-After, and no cookie is touched; others are served. Under ASGI it stays in the
    event loop.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if not issubclass(self.SessionStore, SessionStore):
            raise ImproperlyConfiguredSessions(
                f"SESSION_ENGINE is {settings.SESSION_ENGINE}. This middleware goes with "
                'SESSION_ENGINE = "continuum_upstash.sessions"; for other engines use Django\'s.'
            )

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        self.process_request(request)
        response = await cast("Awaitable[HttpResponse]", self.get_response(request))
        return await self.aprocess_response(request, response)

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        sync_token_cookie.learn(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what a view raised, before Django logs it as an error of the view."""
        if isinstance(exception, SessionStoreUnavailable):
            return unavailable(request, exception)
        return None

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        session = getattr(request, "session", None)
        if session is None:
            return response
        saved = False
        if _is_to_be_saved(session, response):
            try:
                session.keys()  # once it is loaded, a session that is not there is empty
                if not session.is_empty():
                    session.save()
                    saved = True
            except (UpdateError, SessionStoreUnavailable) as error:
                response = _answer(request, error)
        return _finished(request, response, session, saved=saved)

    async def aprocess_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        session = getattr(request, "session", None)
        if session is None:
            return response
        saved = False
        if _is_to_be_saved(session, response):
            try:
                await session.akeys()
                if not session.is_empty():
                    await session.asave()
                    saved = True
            except (UpdateError, SessionStoreUnavailable) as error:
                response = _answer(request, error)
        return _finished(request, response, session, saved=saved)


def _is_to_be_saved(session: SessionBase, response: HttpResponse) -> bool:
    wanted = session.modified or settings.SESSION_SAVE_EVERY_REQUEST
    return wanted and not session.is_empty() and response.status_code < 500


def _answer(request: HttpRequest, error: Exception) -> HttpResponse:
    if isinstance(error, SessionStoreUnavailable):
        return unavailable(request, error)
    raise SessionInterrupted(
        "The request's session was deleted before the request completed. The user may have logged "
        "out in a concurrent request, for example."
    ) from error


def _finished(
    request: HttpRequest, response: HttpResponse, session: SessionBase, *, saved: bool
) -> HttpResponse:
    """Set or delete the cookie, as Django does; nothing here asks the database."""
    error = getattr(session, "unavailable", None)
    if error is not None and response.status_code == 500:
        # It was raised where `process_exception` is not called: in another middleware.
        response = unavailable(request, error)
    # Though the response is an error, the session is under its new key already.
    moved = response.status_code >= 500 and getattr(session, "has_moved", False)
    deleted = settings.SESSION_COOKIE_NAME in request.COOKIES and session.is_empty()
    if deleted:
        response.delete_cookie(
            settings.SESSION_COOKIE_NAME,
            path=settings.SESSION_COOKIE_PATH,
            domain=settings.SESSION_COOKIE_DOMAIN,
            samesite=settings.SESSION_COOKIE_SAMESITE,
        )
    elif saved or moved:
        _set_cookie(response, session)
        sync_token_cookie.tell(response)
    if deleted or saved or moved or session.accessed:
        patch_vary_headers(response, ("Cookie",))
    return response


def _set_cookie(response: HttpResponse, session: SessionBase) -> None:
    max_age = expires = None
    if not session.get_expire_at_browser_close():
        max_age = session.get_expiry_age()
        expires = http_date(time.time() + max_age)
    response.set_cookie(
        settings.SESSION_COOKIE_NAME,
        session.session_key or "",
        max_age=max_age,
        expires=expires,
        domain=settings.SESSION_COOKIE_DOMAIN,
        path=settings.SESSION_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=settings.SESSION_COOKIE_HTTPONLY,
        samesite=settings.SESSION_COOKIE_SAMESITE,
    )


TEMPLATE: Final = "session_unavailable.html"
_BUILT_IN: Final = Path(__file__).parent / "templates" / TEMPLATE


def unavailable(request: HttpRequest, error: SessionStoreUnavailable) -> HttpResponse:
    """Return a 503 that sets no cookie; the error's message goes to the log alone."""
    response: HttpResponse
    retry_after = SessionDatabase().seconds_to_next_try()
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        response = JsonResponse({"error": "session_unavailable", "retry_after": retry_after})
    else:
        response = HttpResponse(_page(retry_after))
    response.status_code = 503
    response.headers["Retry-After"] = str(retry_after)
    add_never_cache_headers(response)
    patch_vary_headers(response, ("Accept", "Cookie"))
    # As a warning: for each error Django would send the administrators a mail, and in an outage
    # every request is one.
    log_response(
        "Service Unavailable: %s: %s",
        request.path,
        str(error),
        response=response,
        request=request,
        level="warning",
    )
    return response


def _page(retry_after: int) -> str:
    """Render the project's template, or the built-in one.

    Without the request: context processors would ask for the session once more.
    """
    context = {"retry_after": retry_after}
    try:
        return loader.get_template(TEMPLATE).render(context)
    except TemplateDoesNotExist:
        return Engine().from_string(_BUILT_IN.read_text()).render(Context(context))
