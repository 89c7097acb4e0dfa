"""A report that takes some seconds, as a task that announces its progress."""

from __future__ import annotations

import os
import time
from typing import Any, Final

from django.core.cache import cache
from django.db.models import Max, Sum

from continuum_upstash.errors import ContinuumError
from continuum_upstash.federation import Channel
from example_project.models import DailyReaders, Topic

try:
    from django.tasks import TaskContext, task
except ImportError:  # Django 5.2
    from django_tasks import TaskContext, task

CHANNEL: Final = "demo:reports"
_STEPS: Final = 20
_SECONDS: Final = float(os.environ.get("DEMO_REPORT_SECONDS", "4"))


@task(takes_context=True)
def build_report(context: TaskContext[Any, Any]) -> dict[str, Any]:
    started = time.monotonic()
    report_id = context.task_result.id
    for step in range(_STEPS):
        _announce(report_id, 100 * step // _STEPS)
        time.sleep(_SECONDS / _STEPS)  # work that takes long
    topics = [{"topic": topic.label.title(), **_summarize(topic)} for topic in Topic]
    _announce(report_id, 100)
    return {"topics": topics, "seconds": round(time.monotonic() - started, 1)}


def read_progress(report_id: str) -> int:
    """Return the percentage that is done."""
    percent: int = cache.get(_make_key(report_id), 0)
    return percent


def _announce(report_id: str, percent: int) -> None:
    cache.set(_make_key(report_id), percent, 600)
    try:
        Channel(CHANNEL).publish("progress", {"report": report_id, "percent": percent})
    except ContinuumError:
        return  # the page shows the percentage when it is loaded again


def _summarize(topic: Topic) -> dict[str, Any]:
    rows = DailyReaders.objects.filter(article__topic=topic)
    return rows.aggregate(total=Sum("readers"), best_day=Max("readers"))


def _make_key(report_id: str) -> str:
    return f"report:{report_id}:percent"
