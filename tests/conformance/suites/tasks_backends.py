"""Copied beside Django's tests of tasks: UpstashTasks in the roles of Django's two backends.

Django's tests look into the memory of its backends. These subclasses give them the same view of
what is in the database, and run a task where the backend that they stand in for would run it.
"""

from __future__ import annotations

import copy

from continuum_upstash.federation.tasks import UpstashTasks
from continuum_upstash.federation.tasks.runs import RunState
from continuum_upstash.plans.effects import call


class DeferredTasks(UpstashTasks):
    """In the role of DummyBackend, which stores tasks and does not run them."""

    def __init__(self, alias, params):
        super().__init__(alias, params)
        self.results = []

    def clear(self):
        """Delete everything."""
        self.results.clear()
        self.store.database.run(call("FLUSHDB"))

    def enqueue(self, task, args, kwargs):
        result = super().enqueue(task, args, kwargs)
        self.results.append(copy.deepcopy(result))
        return result

    async def aenqueue(self, task, args, kwargs):
        result = await super().aenqueue(task, args, kwargs)
        self.results.append(copy.deepcopy(result))
        return result

    def get_result(self, result_id):
        self.store.database.run(self._store_changes())
        return super().get_result(result_id)

    async def aget_result(self, result_id):
        await self.store.database.arun(self._store_changes())
        return await super().aget_result(result_id)

    def _store_changes(self):
        """Store the status that a test has set in `results`."""
        for result in self.results:
            stored = yield from self.store.read(result.id)
            if stored is not None and stored.document.status != result.status.value:
                document = copy.copy(stored.document)
                document.status = result.status.value
                yield from self.store.replace(stored, document)


class EagerTasks(UpstashTasks):
    """In the role of ImmediateBackend: a worker runs a task before `enqueue` returns."""

    def get_queue(self, queue_name):
        return super().get_queue(f"{queue_name}.eager")  # without the tasks of the other role

    def enqueue(self, task, args, kwargs):
        result = super().enqueue(task, args, kwargs)
        (job,) = self.get_queue(task.queue_name).reserve()
        if self.run_job(job, "worker") is not RunState.RETRY:
            job.ack()
        result.refresh()
        return result

    async def aenqueue(self, task, args, kwargs):
        result = await super().aenqueue(task, args, kwargs)
        (job,) = await self.get_queue(task.queue_name).areserve()
        if await self.arun_job(job, "worker") is not RunState.RETRY:
            await job.aack()
        await result.arefresh()
        return result
