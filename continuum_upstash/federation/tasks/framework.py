"""Django's Tasks framework: `django.tasks` from Django 6.0 on, the package django-tasks before.

A task of one of the two is no task of the other, so only one of them is used.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from continuum_upstash.federation.errors import ImproperlyConfiguredFederation

if TYPE_CHECKING or find_spec("django.tasks"):
    from django.tasks import task, task_backends
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import Task, TaskContext, TaskError, TaskResult, TaskResultStatus
    from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
    from django.tasks.signals import task_enqueued, task_finished, task_started
    from django.utils.json import normalize_json
elif find_spec("django_tasks"):
    from django_tasks import task, task_backends
    from django_tasks.backends.base import BaseTaskBackend
    from django_tasks.base import Task, TaskContext, TaskError, TaskResult, TaskResultStatus
    from django_tasks.exceptions import (
        InvalidTaskError as InvalidTask,
    )
    from django_tasks.exceptions import (
        TaskResultDoesNotExist,
    )
    from django_tasks.signals import task_enqueued, task_finished, task_started
    from django_tasks.utils import normalize_json
else:
    raise ImproperlyConfiguredFederation(
        "Django 5.2 has no Tasks framework. Install it: pip install "
        "'continuum-upstash[django-tasks]', and add 'django_tasks' to INSTALLED_APPS."
    )

if TYPE_CHECKING:
    BaseTask = Task[..., Any]
else:
    BaseTask = Task  # not generic in Django 6

__all__ = [
    "BaseTask",
    "BaseTaskBackend",
    "InvalidTask",
    "Task",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultStatus",
    "normalize_json",
    "task",
    "task_backends",
    "task_enqueued",
    "task_finished",
    "task_started",
]
