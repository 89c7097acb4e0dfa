"""The answer while the session database cannot be asked: 503, in HTML or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import Context, Engine, TemplateDoesNotExist, loader
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.utils.log import log_response

from continuum_upstash.errors import SessionStoreUnavailable
from continuum_upstash.sessions.runner import SessionDatabase

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
