"""A whole page cached with Django's cache_page: charts of one month, computed from all rows."""

from __future__ import annotations

from collections import defaultdict
from time import perf_counter
from typing import Any

from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import cache_control, cache_page

from example_project.models import DailyReaders, Topic
from example_project.placeholders import fill_placeholder

CACHE_SECONDS = 30
WIDTH, HEIGHT = 600, 120


@cache_control(
    max_age=0
)  # keeps the page out of the browser's cache, so that the server's cache shows
def show(request: HttpRequest) -> HttpResponse:
    started = perf_counter()
    request.was_rendered = False  # type: ignore[attr-defined]
    response = _render_charts(request)
    hit = not request.was_rendered  # type: ignore[attr-defined]
    elapsed_ms = (perf_counter() - started) * 1000
    return fill_placeholder(response, "cache_outcome", hit=hit, elapsed_ms=elapsed_ms)


@cache_page(CACHE_SECONDS)
def _render_charts(request: HttpRequest) -> HttpResponse:
    request.was_rendered = True  # type: ignore[attr-defined]
    context = {
        "charts": _read_month(),
        "seconds": CACHE_SECONDS,
        "rendered_at": timezone.now(),
        "width": WIDTH,
        "height": HEIGHT,
    }
    return render(request, "example/cached_page.html", context)


def _read_month() -> list[dict[str, Any]]:
    days: defaultdict[str, list[int]] = defaultdict(list)
    rows = DailyReaders.objects.values("article__topic", "day").annotate(total=Sum("readers"))
    for row in rows.order_by("day"):
        days[row["article__topic"]].append(row["total"])
    return [
        {
            "topic": topic.label,
            "total": sum(days[topic]),
            "best": max(days[topic]),
            "points": _draw_points(days[topic]),
        }
        for topic in Topic
    ]


def _draw_points(values: list[int]) -> str:
    """Return the points of an SVG polyline, the largest value at the top."""
    step, scale = WIDTH / (len(values) - 1), (HEIGHT - 8) / max(values)
    return " ".join(
        f"{number * step:.1f},{HEIGHT - value * scale:.1f}" for number, value in enumerate(values)
    )
