"""What a refused request is answered.

429; 503 where the limiter itself could not decide; 400 for what no waiting would let through.
"""

from __future__ import annotations

import json
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.template import TemplateDoesNotExist, loader
from django.utils.html import escape

from continuum_upstash.ratelimit.engine.decision import Decision
from continuum_upstash.ratelimit.http.headers import retry_after, tell

TEMPLATE: Final = "429.html"
_PROBLEMS: Final = "https://iana.org/assignments/http-problem-types#"
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>Please try again in {seconds} s.</p></body></html>
"""


async def arefusal(request: HttpRequest, decision: Decision) -> HttpResponse:
    """The async twin of `refusal`: a template may ask for the user, which is for a thread."""
    if _wants_page(request):
        return await sync_to_async(refusal)(request, decision)
    return refusal(request, decision)


def refusal(request: HttpRequest, decision: Decision) -> HttpResponse:
    """Return the answer to a request that a decision does not allow.

    A page for who asks for HTML, from the template 429.html if there is one; a problem report
    (RFC 9457) for all others; nothing but headers for HEAD and for htmx, which would swap it in.
    """
    if decision.reason == "too_costly":
        return _too_costly()
    unavailable = decision.reason == "unavailable"
    seconds = retry_after(decision)
    title = "The service is busy" if unavailable else "Too many requests"
    status = 503 if unavailable else 429
    if request.method == "HEAD" or "HX-Request" in request.headers:
        response = HttpResponse(status=status)
    elif _wants_page(request):
        response = HttpResponse(_page(request, title, seconds), status=status)
    else:
        problem = _problem(decision, title, status)
        response = HttpResponse(json.dumps(problem), "application/problem+json", status)
    response["Retry-After"] = str(seconds)
    return tell(response, decision)


def _too_costly() -> HttpResponse:
    problem = {"type": "about:blank", "title": "The request costs too much", "status": 400}
    problem["detail"] = "It takes more than is ever allowed at once, so that waiting is no help."
    response = HttpResponse(json.dumps(problem), "application/problem+json", 400)
    response["Cache-Control"] = "no-store"
    return response


def _wants_page(request: HttpRequest) -> bool:
    return "text/html" in request.headers.get("Accept", "")


def _page(request: HttpRequest, title: str, seconds: int) -> str:
    try:
        return loader.render_to_string(TEMPLATE, {"title": title, "seconds": seconds}, request)
    except TemplateDoesNotExist:
        return _PAGE.format(title=escape(title), seconds=seconds)


def _problem(decision: Decision, title: str, status: int) -> dict[str, Any]:
    kind = "temporary-reduced-capacity" if status == 503 else "quota-exceeded"
    problem: dict[str, Any] = {"type": _PROBLEMS + kind, "title": title, "status": status}
    if status == 429:
        shown = (verdict.policy for verdict in decision.violated if verdict.policy.headers)
        problem["violated-policies"] = [policy.name for policy in shown]
    return problem
