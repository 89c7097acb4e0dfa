"""What a request asked of the cache, from the records that continuum-upstash hands to observers."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.cache import DEFAULT_CACHE_ALIAS, cache
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from continuum_upstash.observe import CommandDetails, Record
from example_project.stamps import stamp


@dataclass(slots=True)
class Meter:
    """The tally of one request; times in seconds of `perf_counter`.

    Attributes:
        commands: sent to a database, whether it answered or not.
        local: answered in the process.
        backend: who answered the cache's calls, the sessions' apart.
    """

    started: float = field(default_factory=perf_counter)
    commands: int = 0
    local: int = 0
    waited: float = 0.0
    waited_until: float = 0.0
    backend: str = ""

    def note(self, record: CommandDetails) -> None:
        now = perf_counter()
        if record.alias == DEFAULT_CACHE_ALIAS:
            self.backend = record.backend
        if record.backend == "local":
            self.local += len(record.commands)
            return
        self.commands += len(record.commands)
        # Commands in flight together are waited for once, not each.
        self.waited += now - max(now - record.seconds, self.waited_until)
        self.waited_until = now


_meter: ContextVar[Meter | None] = ContextVar("meter", default=None)


def note(record: Record) -> None:
    meter = _meter.get()
    if meter is not None and isinstance(record, CommandDetails):
        meter.note(record)


@sync_and_async_middleware
def middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    if iscoroutinefunction(get_response):

        async def ameasured(request: HttpRequest) -> HttpResponse:
            meter = _begin()
            return _finish(await get_response(request), meter)

        return ameasured

    def measured(request: HttpRequest) -> HttpResponse:
        meter = _begin()
        return _finish(get_response(request), meter)

    return measured


def _begin() -> Meter:
    meter = Meter()
    _meter.set(meter)
    return meter


def _finish(response: HttpResponse, meter: Meter) -> HttpResponse:
    _meter.set(None)
    took = perf_counter() - meter.started
    stamp(response, "served", backend=meter.backend or cache.current_backend)
    return stamp(
        response,
        "spent",
        commands=meter.commands,
        local=meter.local,
        waited=meter.waited * 1000,
        took=took * 1000,
    )
