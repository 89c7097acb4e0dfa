"""The command db_worker of django-tasks-db, done by federation_worker."""

from __future__ import annotations

import io
import logging
import os

from django.core.management import call_command
from django.core.management.base import BaseCommand

from continuum_upstash.federation.tasks import worker
from continuum_upstash.federation.tasks.framework import task_backends
from continuum_upstash.management.arguments import parse_positive_int
from tests import waiting

logger = logging.getLogger("django_tasks_db")


def parse_worker_id(text):
    if not 0 < len(text) <= 64:
        raise ValueError
    return text


class Command(BaseCommand):
    stealth_options = ("interval",)

    def add_arguments(self, parser):
        parser.add_argument("--queue-name", default="default")
        parser.add_argument("--batch", action="store_true")
        parser.add_argument("--no-startup-delay", dest="startup_delay", action="store_false")
        parser.add_argument("--backend", dest="backend_name", default="default")
        parser.add_argument("--max-tasks", type=parse_positive_int)
        parser.add_argument("--worker-id", type=parse_worker_id)
        parser.add_argument("--exclude-queues", default="")

    def handle(self, **options):
        if options["worker_id"]:
            worker.get_random_string = lambda _: options["worker_id"]
        alias, queues = options["backend_name"], options["queue_name"].split(",")
        if queues == ["*"]:
            excluded = options["exclude_queues"].split(",")
            queues = sorted(task_backends[alias].queues - set(excluded))
        arguments = [*queues, "--tasks", alias, "--visibility=5s"]
        arguments += ["--once"] if options["batch"] else []
        arguments += ["--max-jobs", str(options["max_tasks"])] if options["max_tasks"] else []
        if "IN_TEST" in os.environ:
            waiting.announce_worker()
        call_command("federation_worker", *arguments, stderr=io.StringIO())
        # What the tests look for in the output.
        self.stdout.write(f"Run maximum tasks ({options['max_tasks']}), stopped gracefully")
