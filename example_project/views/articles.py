"""A query cached with Django's cache API."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from django.core.cache import cache
from django.db.models import Max, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from example_project.models import Article, DailyReaders, Topic


def show(request: HttpRequest) -> HttpResponse:
    topic = _parse_topic(request.GET.get("topic", ""))
    started = perf_counter()
    articles = cache.get(_make_cache_key(topic))
    hit = articles is not None
    if not hit:
        articles = _query_most_read(topic)
        # Expires after 5 minutes: see TTL_BY_PREFIX in settings.py.
        cache.set(_make_cache_key(topic), articles)
    context = {
        "articles": articles,
        "hit": hit,
        "elapsed_ms": (perf_counter() - started) * 1000,
        "topic": topic,
        "topics": [("", "All topics"), *Topic.choices],
        "rows": DailyReaders.objects.count(),
    }
    return render(request, "example/articles.html", context)


@require_POST
def delete_cached(request: HttpRequest) -> HttpResponse:
    topic = _parse_topic(request.POST.get("topic", ""))
    cache.delete(_make_cache_key(topic))
    return redirect(reverse("articles", query={"topic": topic} if topic else None))


def _parse_topic(text: str) -> str:
    return text if text in Topic.values else ""


def _make_cache_key(topic: str) -> str:
    return f"query:most-read:{topic or 'all'}"


def _query_most_read(topic: str) -> list[dict[str, Any]]:
    articles = Article.objects.filter(topic=topic) if topic else Article.objects.all()
    most_read = (
        articles.annotate(readers=Sum("days__readers"), best=Max("days__readers"))
        .order_by("-readers")
        .values("title", "topic", "author__name", "published", "readers", "best")
    )
    return list(most_read[:12])
