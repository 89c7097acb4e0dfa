"""Shows the tasks in the Redis database as the ORM would show rows."""

from __future__ import annotations

import copy
import time
import uuid
from datetime import datetime

from django.test import SimpleTestCase
from django.utils import timezone

from continuum_upstash.federation.queue.plans import JobOptions
from continuum_upstash.federation.tasks.documents import TaskDocument
from continuum_upstash.federation.tasks.framework import task_backends
from continuum_upstash.plans.effects import call

from .compat import TaskResultStatus

FIELDS = {"task_path": "path", "backend_name": "backend"}


def get_date_max():
    return datetime(9999, 1, 1, tzinfo=timezone.get_current_timezone())


def get_store():
    return task_backends["default"].store


def run(plan):
    return get_store().database.run(plan)


class DBTaskResult:
    """A task as a row."""

    def __init__(self, stored):
        self._stored = stored

    def __getattr__(self, name):
        return getattr(self._stored.document, FIELDS.get(name, name))

    @property
    def task(self):
        return self._stored.document.load_task()

    @property
    def task_result(self):
        return self._stored.document.make_result(self.task)

    @property
    def traceback(self):
        return self._stored.document.errors[0][1]

    def refresh_from_db(self):
        self._stored = run(get_store().read(self.id))


class Rows:
    """A queryset: rows that match a function."""

    def __init__(self, matches=lambda _: True):
        self._matches = matches

    def __iter__(self):
        keys = run(call("KEYS", "continuum:task:*"))
        rows = [
            DBTaskResult(run(get_store().read(key.decode().rpartition(":")[2]))) for key in keys
        ]
        return iter([row for row in rows if self._matches(row)])

    def count(self):
        return len(list(self))

    def get(self, **filters):
        (row,) = self.filter(**filters)
        return row

    def filter(self, **filters):
        return Rows(
            lambda row: (
                self._matches(row)
                and all(getattr(row, name) == value for name, value in filters.items())
            )
        )

    def update(self, **changes):
        for row in self:
            change(row, changes)

    async def aupdate(self, **changes):
        self.update(**changes)


class Manager(Rows):
    def all(self):
        return Rows()

    def using(self, _):
        return Rows()

    def ready(self):
        return Rows(
            lambda row: (
                row.status == "READY"
                and (not row.run_after or datetime.fromisoformat(row.run_after) <= timezone.now())
            )
        )

    def running(self):
        return self.filter(status="RUNNING")

    def successful(self):
        return self.filter(status="SUCCESSFUL")

    def failed(self):
        return self.filter(status="FAILED")

    def create(self, *, args_kwargs, task_path, backend_name, queue_name="default"):
        document = TaskDocument(
            id=uuid.uuid4().hex,
            path=task_path,
            backend=backend_name,
            queue_name=queue_name,
            priority=0,
            run_after=None,
            **args_kwargs,
            status=TaskResultStatus.READY.value,
            enqueued_at=timezone.now().isoformat(),
        )
        backend = task_backends[backend_name]
        run(get_store().enqueue(document, backend.get_queue(queue_name), JobOptions()))
        return DBTaskResult(run(get_store().read(document.id)))


DBTaskResult.objects = Manager()


def change(row, changes):
    """Store changed fields, and make the job due again if its time has changed."""
    document = copy.copy(row._stored.document)
    for name, value in changes.items():
        text = value.isoformat() if isinstance(value, datetime) else value
        setattr(document, name, getattr(text, "value", text))
    document.last_attempted_at = document.started_at  # one field of the model
    run(get_store().replace(row._stored, document))
    if "run_after" in changes:
        queue = task_backends["default"].get_queue(document.queue_name)
        for member in run(call("ZRANGE", queue.plans.keys.jobs, 0, -1)):
            if document.id.encode() in member:
                score = int(time.time() * 1000)
                run(call("ZADD", queue.plans.keys.jobs, "XX", score, member.decode()))


def flush_before(set_up):
    """Begin each test with an empty Redis database, too."""

    def pre_setup(*args, **kwargs):
        run(call("FLUSHDB"))
        return set_up(*args, **kwargs)

    return pre_setup


for name in ("_pre_setup",):
    method = getattr(SimpleTestCase, name)
    is_class_method = getattr(method, "__self__", None) is SimpleTestCase
    wrapped = flush_before(method.__func__ if is_class_method else method)
    setattr(SimpleTestCase, name, classmethod(wrapped) if is_class_method else wrapped)
