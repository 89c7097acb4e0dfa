"""The queues that the settings name, by the alias of their database."""

from __future__ import annotations

from django.conf import settings

from continuum_upstash.federation.queue.queue import Queue
from continuum_upstash.federation.worker.handlers import read_alias, read_handlers

_TASKS_BACKEND = "continuum_upstash.federation.tasks.UpstashTasks"


def list_known_queues(alias: str) -> list[Queue]:
    """Return the queues of ``CONTINUUM_FEDERATION["HANDLERS"]`` and TASKS in the alias, by name.

    Raises:
        ImproperlyConfiguredFederation: a setting is invalid.
    """
    queues: dict[str, Queue] = {}
    if read_alias() == alias:
        queues = {name: Queue(name, using=alias) for name in read_handlers() if name != "*"}
    tasks = getattr(settings, "TASKS", {})
    for name, entry in tasks.items():
        if entry.get("BACKEND") == _TASKS_BACKEND:
            for queue in _list_task_queues(name):
                if queue.using == alias:
                    queues[queue.name] = queue
    return [queues[name] for name in sorted(queues)]


def _list_task_queues(name: str) -> list[Queue]:
    from continuum_upstash.federation.tasks.backend import UpstashTasks  # noqa: PLC0415 where TASKS has one
    from continuum_upstash.federation.tasks.framework import task_backends  # noqa: PLC0415 as above

    backend = task_backends[name]
    if not isinstance(backend, UpstashTasks) or backend.task_options.push is not None:
        return []
    return [backend.get_queue(each) for each in backend.queues]
