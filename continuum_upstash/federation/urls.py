"""``path("federation/", include("continuum_upstash.federation.urls"))``."""

from __future__ import annotations

from django.urls import path

from continuum_upstash.federation import task_views

app_name = "continuum_federation"
urlpatterns = [
    path("tasks/run/", task_views.run_task, name="run-task"),
    path("tasks/drain/", task_views.drain_tasks, name="drain-tasks"),
]
