"""What `manage.py federation_worker --tasks` runs."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.crypto import get_random_string

from continuum_upstash.errors import suggest_similar
from continuum_upstash.federation.errors import ImproperlyConfiguredFederation
from continuum_upstash.federation.queue.job import Job
from continuum_upstash.federation.tasks.backend import UpstashTasks
from continuum_upstash.federation.tasks.framework import task_backends
from continuum_upstash.federation.worker.handlers import Handler


def find_task_handlers(alias: str, queue_names: Sequence[str]) -> tuple[dict[str, Handler], str]:
    """Return the handler of each queue of an entry of TASKS, and the cache that has the queues.

    Args:
        alias: the entry.
        queue_names: as in QUEUES; empty: all of them.

    Raises:
        ImproperlyConfigured: the entry has no queues that a worker can run.
    """
    backend = task_backends[alias]
    if not isinstance(backend, UpstashTasks):
        raise ImproperlyConfiguredFederation(
            f"TASKS['{alias}'] is a {type(backend).__qualname__}. Name an entry whose BACKEND is "
            "continuum_upstash.federation.tasks.UpstashTasks."
        )
    if backend.task_options.push is not None:
        raise ImproperlyConfiguredFederation(
            f"TASKS['{alias}'] has the option PUSH: QStash delivers its tasks, and there is no "
            "queue for a worker."
        )
    names = list(queue_names) or sorted(backend.queues)
    if not names:
        raise ImproperlyConfiguredFederation(
            f"TASKS['{alias}'] allows any queue name (QUEUES is empty). Name the queues to run."
        )
    for name in names:
        if backend.queues and name not in backend.queues:
            hint = suggest_similar(name, backend.queues)
            raise ImproperlyConfiguredFederation(
                f"TASKS['{alias}'] has no queue '{name}' in QUEUES.{hint}"
            )
    worker_id = get_random_string(32)

    def run_job(job: Job) -> None:
        backend.run_job(job, worker_id)

    handlers: dict[str, Handler] = {backend.get_queue(name).name: run_job for name in names}
    return handlers, backend.task_options.using
