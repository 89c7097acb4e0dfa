"""A whole page under Django's cache_page: charts of a month, drawn from all rows."""

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
from example_project.stamps import stamp

SECONDS = 30
WIDTH, HEIGHT = 600, 120


@cache_control(max_age=0)  # the browser asks each time, so that one sees our cache and not its own
def page(request: HttpRequest) -> HttpResponse:
    started = perf_counter()
    request.was_rendered = False  # type: ignore[attr-defined]
    response = _charts(request)
    hit = not request.was_rendered  # type: ignore[attr-defined]
    took = (perf_counter() - started) * 1000
    return stamp(response, "outcome", hit=hit, took=took)


@cache_page(SECONDS)
def _charts(request: HttpRequest) -> HttpResponse:
    request.was_rendered = True  # type: ignore[attr-defined]
    context = {
        "charts": _month(),
        "seconds": SECONDS,
        "rendered_at": timezone.now(),
        "width": WIDTH,
        "height": HEIGHT,
    }
    return render(request, "example/month.html", context)


def _month() -> list[dict[str, Any]]:
    days: defaultdict[str, list[int]] = defaultdict(list)
    rows = DailyReaders.objects.values("article__topic", "day").annotate(total=Sum("readers"))
    for row in rows.order_by("day"):
        days[row["article__topic"]].append(row["total"])
    return [
        {
            "topic": topic.label,
            "total": sum(days[topic]),
            "best": max(days[topic]),
            "points": _points(days[topic]),
        }
        for topic in Topic
    ]


def _points(values: list[int]) -> str:
    """Return an SVG polyline of the values, the largest at the top."""
    step, scale = WIDTH / (len(values) - 1), (HEIGHT - 8) / max(values)
    return " ".join(
        f"{number * step:.1f},{HEIGHT - value * scale:.1f}" for number, value in enumerate(values)
    )
