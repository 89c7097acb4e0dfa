"""A cached query, as one writes it with Django's cache API."""

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


def page(request: HttpRequest) -> HttpResponse:
    topic = _topic(request.GET.get("topic", ""))
    started = perf_counter()
    top = cache.get(_key(topic))
    hit = top is not None
    if not hit:
        top = _most_read(topic)
        cache.set(_key(topic), top)  # for 5 minutes: TTL_BY_PREFIX in settings.py
    context = {
        "top": top,
        "hit": hit,
        "took": (perf_counter() - started) * 1000,
        "topic": topic,
        "topics": [("", "All topics"), *Topic.choices],
        "rows": DailyReaders.objects.count(),
    }
    return render(request, "example/articles.html", context)


@require_POST
def forget(request: HttpRequest) -> HttpResponse:
    topic = _topic(request.POST.get("topic", ""))
    cache.delete(_key(topic))
    return redirect(reverse("articles", query={"topic": topic} if topic else None))


def _topic(text: str) -> str:
    return text if text in Topic.values else ""


def _key(topic: str) -> str:
    return f"query:most-read:{topic or 'all'}"


def _most_read(topic: str) -> list[dict[str, Any]]:
    articles = Article.objects.filter(topic=topic) if topic else Article.objects.all()
    found = (
        articles.annotate(readers=Sum("days__readers"), best=Max("days__readers"))
        .order_by("-readers")
        .values("title", "topic", "author__name", "published", "readers", "best")
    )
    return list(found[:12])
