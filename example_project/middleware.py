"""Shows on each page which cache commands the request sent, and how long it waited for replies."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.cache import DEFAULT_CACHE_ALIAS, cache
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.decorators import sync_and_async_middleware
from django.utils.html import strip_tags

from continuum_upstash.observe import CommandDetails, Record
from example_project.placeholders import fill_placeholder


@dataclass(slots=True)
class RequestUsage:
    """The cache usage of one request; times in seconds of `perf_counter`.

    Attributes:
        commands: number of commands sent to Redis, including those that failed.
        local: number of commands executed in the process.
        waited: seconds of waiting for Redis.
        backend: backend of the cache's last call, session calls excluded; empty if it failed.
    """

    started: float = field(default_factory=perf_counter)
    commands: int = 0
    local: int = 0
    waited: float = 0.0
    waited_until: float = 0.0
    backend: str = ""

    def record(self, record: CommandDetails) -> None:
        now = perf_counter()
        if record.alias == DEFAULT_CACHE_ALIAS:
            self.backend = "" if record.error else record.backend
        if record.backend == "local":
            self.local += len(record.commands)
            return
        self.commands += len(record.commands)
        # The waiting times of concurrent commands overlap: count the overlap once.
        self.waited += now - max(now - record.seconds, self.waited_until)
        self.waited_until = now


_usage: ContextVar[RequestUsage | None] = ContextVar("request_usage", default=None)


def record_usage(record: Record) -> None:
    """Observer of continuum-upstash: add a batch to the usage of the current request."""
    usage = _usage.get()
    if usage is not None and isinstance(record, CommandDetails):
        usage.record(record)


@sync_and_async_middleware
def measure_cache_usage(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], Any]:
    if iscoroutinefunction(get_response):

        async def measure_async(request: HttpRequest) -> HttpResponse:
            usage = _start()
            return _finish(await get_response(request), usage)

        return measure_async

    def measure(request: HttpRequest) -> HttpResponse:
        usage = _start()
        return _finish(get_response(request), usage)

    return measure


def _start() -> RequestUsage:
    usage = RequestUsage()
    _usage.set(usage)
    return usage


def _finish(response: HttpResponse, usage: RequestUsage) -> HttpResponse:
    _usage.set(None)
    elapsed = perf_counter() - usage.started
    fill_placeholder(response, "backend_badge", backend=usage.backend or cache.current_backend)
    context = {
        "commands": usage.commands,
        "local": usage.local,
        "waited_ms": usage.waited * 1000,
        "elapsed_ms": elapsed * 1000,
    }
    if response.headers.get("Content-Type", "").startswith("application/"):
        # A script shows it in place of the page's own usage.
        text = render_to_string("example/request_usage.html", context)
        response.headers["Request-Usage"] = strip_tags(text).strip()
    return fill_placeholder(response, "request_usage", **context)
