"""Django's session middleware, sync and async, with a 503 response during an outage."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import TemplateDoesNotExist, loader
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.utils.http import http_date
from django.utils.log import log_response

from continuum_upstash.error_page import render_session_page
from continuum_upstash.errors import SessionStoreUnavailable
from continuum_upstash.sessions import SessionStore, sync_token_cookie
from continuum_upstash.sessions.session_runner import ImproperlyConfiguredSessions, SessionRunner


class SessionMiddleware(DjangoSessionMiddleware):
    """Replaces django.contrib.sessions.middleware.SessionMiddleware.

    While the session database is unavailable, a request that needs its session receives a 503
    response with Retry-After that sets no cookie; other requests are served. Under ASGI, it runs in
    the event loop.

    Raises:
        ImproperlyConfiguredSessions: SESSION_ENGINE is not the engine of this package.
    """

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        super().__init__(get_response)
        if not issubclass(self.SessionStore, SessionStore):
            raise ImproperlyConfiguredSessions(
                f"SESSION_ENGINE is {settings.SESSION_ENGINE}, but this middleware requires "
                "continuum_upstash.sessions or an engine derived from it. For other engines, use "
                "django.contrib.sessions.middleware.SessionMiddleware."
            )

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        self.process_request(request)
        response = await cast("Awaitable[HttpResponse]", self.get_response(request))
        return await self.aprocess_response(request, response)

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        sync_token_cookie.read_cookie(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return the 503 response before Django logs the exception as an error of the view."""
        if isinstance(exception, SessionStoreUnavailable):
            return service_unavailable(request, exception)
        return None

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        session = getattr(request, "session", None)
        if session is None:
            return response
        saved = False
        if _should_save(session, response):
            try:
                session.keys()  # loads the session: one that does not exist is empty afterwards
                if not session.is_empty():
                    session.save()
                    saved = True
            except (UpdateError, SessionStoreUnavailable) as error:
                response = _error_response(request, error)
        return _finalize(request, response, session, saved=saved)

    async def aprocess_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        session = getattr(request, "session", None)
        if session is None:
            return response
        saved = False
        if _should_save(session, response):
            try:
                await session.akeys()
                if not session.is_empty():
                    await session.asave()
                    saved = True
            except (UpdateError, SessionStoreUnavailable) as error:
                response = _error_response(request, error)
        return _finalize(request, response, session, saved=saved)


def _should_save(session: SessionBase, response: HttpResponse) -> bool:
    is_changed = session.modified or settings.SESSION_SAVE_EVERY_REQUEST
    return is_changed and not session.is_empty() and response.status_code < 500


def _error_response(request: HttpRequest, error: Exception) -> HttpResponse:
    if isinstance(error, SessionStoreUnavailable):
        return service_unavailable(request, error)
    raise SessionInterrupted(
        "The request's session was deleted before the request completed. The user may have logged "
        "out in a concurrent request, for example."
    ) from error


def _finalize(
    request: HttpRequest, response: HttpResponse, session: SessionBase, *, saved: bool
) -> HttpResponse:
    """Set or delete the cookie, as Django does; sends no command."""
    error = getattr(session, "store_error", None)
    if error is not None and response.status_code == 500:
        # Raised in another middleware, for which Django does not call `process_exception`.
        response = service_unavailable(request, error)
    # The session has its new key although the response is an error.
    rotated = response.status_code >= 500 and getattr(session, "key_rotated", False)
    deleted = settings.SESSION_COOKIE_NAME in request.COOKIES and session.is_empty()
    if deleted:
        response.delete_cookie(
            settings.SESSION_COOKIE_NAME,
            path=settings.SESSION_COOKIE_PATH,
            domain=settings.SESSION_COOKIE_DOMAIN,
            samesite=settings.SESSION_COOKIE_SAMESITE,
        )
    elif saved or rotated:
        _set_cookie(response, session)
        sync_token_cookie.set_cookie(response)
    if deleted or saved or rotated or session.accessed:
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


def service_unavailable(request: HttpRequest, error: SessionStoreUnavailable) -> HttpResponse:
    """Return a 503 response that sets no cookie; only the log contains the error's message."""
    response: HttpResponse
    retry_after = SessionRunner().get_retry_after()
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        response = JsonResponse({"error": "session_unavailable", "retry_after": retry_after})
    else:
        response = _build_page(request, retry_after)
    response.status_code = 503
    response.headers["Retry-After"] = str(retry_after)
    add_never_cache_headers(response)
    patch_vary_headers(response, ("Accept", "Cookie"))
    # A warning: Django mails each error to the administrators, and an outage fails every request.
    log_response(
        "Service Unavailable: %s: %s",
        request.path,
        str(error),
        response=response,
        request=request,
        level="warning",
    )
    return response


def _build_page(request: HttpRequest, retry_after: int) -> HttpResponse:
    """Return the project's template, or the built-in page.

    The template is rendered without the request: context processors would access the session again.
    """
    try:
        template = loader.get_template(TEMPLATE)
    except TemplateDoesNotExist:
        page = render_session_page(request, retry_after)
        return HttpResponse(page, headers={"Refresh": str(retry_after)})
    return HttpResponse(template.render({"retry_after": retry_after}))
