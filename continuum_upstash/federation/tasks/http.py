"""The requests that run tasks: deliveries of QStash, and those of cron jobs."""

from __future__ import annotations

import base64
import hmac
import json
import math
import os
import time
from collections import Counter
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import get_random_string

from continuum_upstash.errors import Refused, Unavailable
from continuum_upstash.federation.tasks.backend import UpstashTasks
from continuum_upstash.federation.tasks.framework import task_backends
from continuum_upstash.federation.tasks.runs import RunOutcome, RunState
from continuum_upstash.federation.tasks.signatures import (
    MAX_BODY,
    InvalidSignature,
    verify_signature,
)
from continuum_upstash.observe import log_once_a_minute, logger

_NOT_RETRYABLE: Final = 489  # QStash moves the message to its dead letters at once
_UNAVAILABLE_SECONDS: Final = 10.0  # until the next delivery, where the database is unavailable
_DRAIN_SECONDS: Final = 25.0
_MAX_DRAIN_SECONDS: Final = 890.0


class _Delivery(NamedTuple):
    """What a signed request contains.

    Attributes:
        is_failure: QStash has given up: it calls back with the original message.
    """

    backend: UpstashTasks
    task_id: object
    is_failure: bool


def run_delivered(request: HttpRequest) -> HttpResponse:
    """See `task_views.run_task`."""
    body = request.read(MAX_BODY + 1)  # a length in a header may be missing or wrong
    if len(body) > MAX_BODY:
        return _respond("The body is too large.", 413)
    try:
        delivery = _read_delivery(body, request.headers.get("Upstash-Signature", ""))
    except InvalidSignature as error:
        log_once_a_minute("tasks", f"request to run a task refused: {error}")
        return _respond("The signature is invalid.", 403)
    backend, task_id = delivery.backend, delivery.task_id
    try:
        if delivery.is_failure:
            outcome = backend.fail_undelivered(task_id)
        else:
            outcome = backend.run_pushed(task_id, get_random_string(32))
    except (Unavailable, Refused) as error:
        logger.warning("Task id=%s was not run, QStash delivers it again: %s", task_id, error)
        outcome = RunOutcome(RunState.RETRY, error.retry_after or _UNAVAILABLE_SECONDS)
    if outcome.state is RunState.MISSING:
        return _respond("unknown task", _NOT_RETRYABLE, ("Upstash-NonRetryable-Error", "true"))
    if outcome.state is RunState.FINISHED:
        return _respond("finished", 200)
    return _respond("not yet", 503, ("Retry-After", str(max(1, math.ceil(outcome.delay)))))


def drain(request: HttpRequest) -> HttpResponse:
    """See `task_views.drain_tasks`."""
    secret = str(getattr(settings, "CRON_SECRET", "") or os.environ.get("CRON_SECRET", ""))
    given = request.headers.get("Authorization", "")
    if not secret or not hmac.compare_digest(given.encode(), f"Bearer {secret}".encode()):
        return _respond("CRON_SECRET is not set, or does not match.", 401)
    try:
        seconds = float(request.GET.get("seconds", _DRAIN_SECONDS))
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _MAX_DRAIN_SECONDS:
        return _respond(f"seconds must be above 0 and at most {_MAX_DRAIN_SECONDS:.0f}.", 400)
    deadline = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    for backend in _list_backends():
        if backend.task_options.push is None:
            names = request.GET.getlist("queue") or sorted(backend.queues)
            counts.update(state.value for state in backend.drain(names, deadline))
    return JsonResponse({"runs": counts, "is_time_over": time.monotonic() >= deadline})


def _read_delivery(body: bytes, signature: str) -> _Delivery:
    """
    Raises:
        InvalidSignature: the request does not come from QStash.
    """
    content = _load_object(body)
    source = content.get("sourceBody")
    if isinstance(source, str):
        content = _load_object(_decode_base64(source))
    # Until the signature is verified, the content only selects the keys.
    alias = content.get("backend")
    backend = next((each for each in _list_backends() if each.alias == alias), None)
    if backend is None or backend.task_options.push is None:
        raise InvalidSignature("the body names no entry of TASKS with the option PUSH")
    verify_signature(backend.task_options.push, signature, body)
    return _Delivery(backend, content.get("task"), isinstance(source, str))


def _decode_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError:
        return b""


def _load_object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _list_backends() -> list[UpstashTasks]:
    return [each for each in task_backends.all() if isinstance(each, UpstashTasks)]


def _respond(text: str, status: int, *headers: tuple[str, str]) -> HttpResponse:
    return HttpResponse(text, status=status, headers=dict(headers), content_type="text/plain")
