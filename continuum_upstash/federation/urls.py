"""``path("api/", include("continuum_upstash.federation.urls"))``: live pages, and tasks."""

from __future__ import annotations

from django.urls import path

from continuum_upstash.federation import task_views
from continuum_upstash.federation.live import views

app_name = "continuum_federation"
urlpatterns = [
    # Without a slash at the end: /api/realtime is where the browser client looks by default.
    path("realtime", views.stream, name="realtime"),
    path("tasks/run/", task_views.run_task, name="run-task"),
    path("tasks/drain/", task_views.drain_tasks, name="drain-tasks"),
]
