"""Takes the place of django_tasks_db in its own tests: UpstashTasks behind its names."""

from __future__ import annotations

import uuid

from continuum_upstash.federation.tasks import UpstashTasks, backend

backend.get_random_string = lambda _: uuid.uuid4().hex  # the tests expect UUIDs


class DatabaseBackend(UpstashTasks):
    pass
