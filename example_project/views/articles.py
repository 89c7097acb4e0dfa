"""A query whose result is cached with @cached until its timeout, or a change in the admin."""

from __future__ import annotations

from time import perf_counter, time
from typing import Any

from django.db.models import Max, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from continuum_upstash.decorators import cached
from example_project.models import Article, DailyReaders, Topic


# Without timeout=, results expire after 5 minutes: see TTL_BY_PREFIX in settings.py. Their tag is
# deleted when an article or author is saved: see apps.py.
@cached(key="query:most-read:{topic}", tags=("articles",))
def find_most_read(topic: str) -> dict[str, Any]:
    articles = Article.objects.filter(topic=topic) if topic else Article.objects.all()
    most_read = (
        articles.annotate(readers=Sum("days__readers"), best=Max("days__readers"))
        .order_by("-readers")
        .values("title", "topic", "author__name", "published", "readers", "best")
    )
    return {"articles": list(most_read[:12]), "queried_at": time()}


def show(request: HttpRequest) -> HttpResponse:
    topic = _parse_topic(request.GET.get("topic", ""))
    requested_at, started = time(), perf_counter()
    most_read = find_most_read(topic)
    context = {
        "articles": most_read["articles"],
        "hit": most_read["queried_at"] < requested_at,
        "elapsed_ms": (perf_counter() - started) * 1000,
        "topic": topic,
        "topics": [("", "All topics"), *Topic.choices],
        "rows": DailyReaders.objects.count(),
    }
    return render(request, "example/articles.html", context)


@require_POST
def delete_cached(request: HttpRequest) -> HttpResponse:
    topic = _parse_topic(request.POST.get("topic", ""))
    find_most_read.invalidate(topic)
    return redirect(reverse("articles", query={"topic": topic} if topic else None))


def _parse_topic(text: str) -> str:
    return text if text in Topic.values else ""
