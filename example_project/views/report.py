"""A heavy report, run as a Django task by a worker, with its progress while it runs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from continuum_upstash.errors import ContinuumError


def show(request: HttpRequest) -> HttpResponse:
    return _render_page(request)


@require_POST
def start(request: HttpRequest) -> HttpResponse:
    if not _can_run():
        return _render_page(request, status_code=503)
    from example_project.tasks import build_report  # noqa: PLC0415 Django 5.2 may lack the framework

    try:
        result = build_report.enqueue()
    except ContinuumError as error:
        return _render_page(request, str(error), status_code=503)
    return redirect("report-result", result.id)


def show_result(request: HttpRequest, report_id: str) -> HttpResponse:
    try:
        report = _read_report(report_id)
    except ContinuumError as error:
        return _render_page(request, str(error), status_code=503)
    return _render_page(request, report=report)


def get_state(_: HttpRequest, report_id: str) -> HttpResponse:
    try:
        report = _read_report(report_id)
    except ContinuumError:
        return JsonResponse({}, status=503)
    return JsonResponse({"percent": report["percent"], "is_finished": report["is_finished"]})


def _read_report(report_id: str) -> dict[str, Any]:
    if not _can_run():
        raise Http404
    from continuum_upstash.federation.tasks.framework import (  # noqa: PLC0415 as above
        TaskResultDoesNotExist,
    )
    from example_project.tasks import build_report, read_progress  # noqa: PLC0415 as above

    try:
        result = build_report.get_result(report_id)
    except TaskResultDoesNotExist as error:
        raise Http404 from error
    is_successful = result.is_finished and not result.errors
    return {
        "id": report_id,
        "status": result.status.label,
        "is_finished": result.is_finished,
        "is_failed": result.is_finished and not is_successful,
        "percent": 100 if is_successful else read_progress(report_id),
        "value": result.return_value if is_successful else None,
        "attempts": result.attempts,
    }


def _can_run() -> bool:
    has_database = caches["federation"].database.config.mode != "local"
    return has_database and settings.HAS_TASKS


def _render_page(
    request: HttpRequest,
    problem: str = "",
    *,
    report: dict[str, Any] | None = None,
    status_code: int = 200,
) -> HttpResponse:
    context = {"problem": problem, "can_run": _can_run(), "report": report}
    return render(request, "example/report.html", context, status=status_code)
