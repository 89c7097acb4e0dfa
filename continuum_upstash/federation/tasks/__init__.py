"""``TASKS = {"default": {"BACKEND": "continuum_upstash.federation.tasks.UpstashTasks"}}``."""

from __future__ import annotations

from continuum_upstash.federation.tasks.backend import UpstashTask, UpstashTasks

__all__ = ["UpstashTask", "UpstashTasks"]
