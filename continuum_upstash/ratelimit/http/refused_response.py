"""The responses to refused requests.

429; 503 if the limiter is unavailable and on_error is ``deny``; 400 if the cost exceeds the limit,
so that waiting does not help.
"""

from __future__ import annotations

import json
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.template import TemplateDoesNotExist, loader

from continuum_upstash.error_page import render_refused_page
from continuum_upstash.ratelimit.engine.decision import Decision
from continuum_upstash.ratelimit.http.headers import get_retry_after, set_ratelimit_headers

TEMPLATE: Final = "429.html"
_PROBLEM_TYPES: Final = "https://iana.org/assignments/http-problem-types#"


async def abuild_refused_response(request: HttpRequest, decision: Decision) -> HttpResponse:
    """The async counterpart: a template may load the user, so it is rendered in a thread."""
    if _accepts_html(request):
        return await sync_to_async(build_refused_response)(request, decision)
    return build_refused_response(request, decision)


def build_refused_response(request: HttpRequest, decision: Decision) -> HttpResponse:
    """Return the response to a request that a decision denies.

    A client that accepts HTML gets a page, from the template 429.html if there is one; others get
    a problem report (RFC 9457). HEAD requests get headers only, and so does htmx, which would
    insert the body into the page.
    """
    if decision.reason == "too_costly":
        return _build_cost_response()
    is_unavailable = decision.reason == "unavailable"
    seconds = get_retry_after(decision)
    title = "Service temporarily unavailable" if is_unavailable else "Too many requests"
    status = 503 if is_unavailable else 429
    if request.method == "HEAD" or "HX-Request" in request.headers:
        response = HttpResponse(status=status)
    elif _accepts_html(request):
        page = _render_page(request, title, seconds, is_unavailable=is_unavailable)
        response = HttpResponse(page, status=status)
    else:
        problem = _build_problem(decision, title, status)
        response = HttpResponse(json.dumps(problem), "application/problem+json", status)
    response["Retry-After"] = str(seconds)
    return set_ratelimit_headers(response, decision)


def _build_cost_response() -> HttpResponse:
    problem = {
        "type": "about:blank",
        "title": "Request cost exceeds the rate limit",
        "status": 400,
        "detail": "The request costs more than the rate limit ever allows. Do not retry it.",
    }
    response = HttpResponse(json.dumps(problem), "application/problem+json", 400)
    response["Cache-Control"] = "no-store"
    return response


def _accepts_html(request: HttpRequest) -> bool:
    return "text/html" in request.headers.get("Accept", "")


def _render_page(request: HttpRequest, title: str, seconds: int, *, is_unavailable: bool) -> str:
    try:
        template = loader.get_template(TEMPLATE)
    except TemplateDoesNotExist:
        return render_refused_page(request, seconds, is_unavailable=is_unavailable)
    return template.render({"title": title, "seconds": seconds}, request)


def _build_problem(decision: Decision, title: str, status: int) -> dict[str, Any]:
    problem_type = "temporary-reduced-capacity" if status == 503 else "quota-exceeded"
    problem: dict[str, Any] = {
        "type": _PROBLEM_TYPES + problem_type,
        "title": title,
        "status": status,
    }
    if status == 429:
        policies = (verdict.policy for verdict in decision.violated if verdict.policy.headers)
        problem["violated-policies"] = [policy.name for policy in policies]
    return problem
