"""What the live page shows: visits, refused requests and outages, published from a thread.

Nothing is published while no page of this process streams, and no request waits for it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.core.cache import DEFAULT_CACHE_ALIAS
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from continuum_upstash.errors import ContinuumError
from continuum_upstash.federation import Channel
from continuum_upstash.federation.live.open_streams import count_open_streams
from continuum_upstash.observe import LimitDecided, Record, StateChange

CHANNEL: Final = "demo:live"

_waiting: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=100)


def announce(event: str, data: Any) -> None:
    """Publish an event soon, unless no page of this process streams, or too many wait."""
    if not count_open_streams():
        return
    _start_thread()
    if not _waiting.full():
        _waiting.put((event, data))


@cache
def _start_thread() -> None:
    threading.Thread(target=_publish, name=CHANNEL, daemon=True).start()


def _publish() -> None:
    channel = Channel(CHANNEL)
    while True:
        event, data = _waiting.get()
        try:
            channel.publish(event, data)
        except ContinuumError:
            continue  # an outage of the channel's own database: the event is lost


def announce_record(record: Record) -> None:
    """Observer of continuum-upstash: announce refused requests and the state of the cache."""
    if isinstance(record, LimitDecided) and not record.allowed:
        announce("limit.refused", {"policy": record.policy})
    elif isinstance(record, StateChange) and record.alias == DEFAULT_CACHE_ALIAS:
        announce("backend.changed", {"backend": record.backend, "state": record.new})


@sync_and_async_middleware
def announce_visits(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    if iscoroutinefunction(get_response):

        async def announce_async(request: HttpRequest) -> HttpResponse:
            return _announce_page(request, await get_response(request))

        return announce_async

    def announce_sync(request: HttpRequest) -> HttpResponse:
        return _announce_page(request, get_response(request))

    return announce_sync


def _announce_page(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    is_page = response.headers.get("Content-Type", "").startswith("text/html")
    if is_page and request.method == "GET" and response.status_code == HTTPStatus.OK:
        announce("page.visited", {"path": request.path})
    return response
