"""Views that run tasks where there is no worker process: QStash or a cron job calls them.

On Django 5.2, they need the package django-tasks, which the other URLs of this package do not.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST


@never_cache
@csrf_exempt
@require_POST
def run_task(request: HttpRequest) -> HttpResponse:
    """Run the task whose ID QStash delivers, once, however often it is delivered.

    The status is 200 if the task has finished, also if it failed for good; 503 with Retry-After if
    it must be delivered again; 403 if the signature is invalid; 489 if there is no such task.

    Billed: 3 commands; 1 if the task has finished before.
    """
    from continuum_upstash.federation.tasks import http  # noqa: PLC0415 needs the framework

    return http.run_delivered(request)


@never_cache
@csrf_exempt
@require_http_methods(["GET", "POST"])
def drain_tasks(request: HttpRequest) -> HttpResponse:
    """Run tasks that are ready, until there are none or the time is over.

    The request must contain ``Authorization: Bearer <secret>``; the secret is the setting or
    environment variable CRON_SECRET, as Vercel's cron jobs send it. ``?seconds=`` is the time after
    which no further task is started, 25 by default: choose it so that the last task ends before
    the deadline of the platform. ``?queue=`` (repeatable) selects queues.

    Billed: 7 commands for each task, and 2 for each queue that is empty.
    """
    from continuum_upstash.federation.tasks import http  # noqa: PLC0415 needs the framework

    return http.drain(request)
