"""Streams channels to pages as server-sent events.

Under ASGI a stream takes no thread. Under WSGI it takes one: only MAX_THREADS pages of a process
get a stream, and the others poll: their responses end at once, and the browser asks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Final

from django.core.handlers.asgi import ASGIRequest
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    JsonResponse,
    StreamingHttpResponse,
)

from continuum_upstash.errors import ContinuumError
from continuum_upstash.federation.channels.channel import (
    EXPIRE_AFTER,
    MAX_LENGTH,
    get_cache,
    require_server,
)
from continuum_upstash.federation.channels.feed import StreamLimits
from continuum_upstash.federation.channels.readers import TaskReader, ThreadReader
from continuum_upstash.federation.live import frames
from continuum_upstash.federation.live.conf import conf
from continuum_upstash.federation.live.open_streams import OpenStreams
from continuum_upstash.federation.live.request_thread import release_thread
from continuum_upstash.federation.live.stream_request import (
    StreamRequest,
    authorize,
    make_limits,
    parse_positions,
)
from continuum_upstash.observe import log_once_a_minute
from continuum_upstash.transports.registry import Database, get_process_state

_LIMITS: Final = StreamLimits(MAX_LENGTH, EXPIRE_AFTER)
# After MAX_DURATION, for a client that does not read: the stream is cancelled.
_GRACE_SECONDS: Final = 30.0
_EVENT_STREAM: Final = "text/event-stream"


async def stream(request: HttpRequest) -> HttpResponseBase:
    """Stream the channels of the query, ``?channel=a&channel=b``, if the request may read them.

    Protocol: that of the browser client of the npm package @upstash/realtime 1.1.
    """
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])
    try:
        positions = parse_positions(request)
    except ValueError as error:
        return _allow_origin(request, _refuse(request, str(error), 400))
    verdict = await authorize(request, tuple(positions))
    if isinstance(verdict, HttpResponse):
        return verdict
    if not verdict:
        return _allow_origin(request, _refuse(request, "not permitted", 403))
    database = get_cache(conf.using).database
    require_server(database.config)
    wanted = StreamRequest(positions, await make_limits(request, tuple(positions)))
    response = StreamingHttpResponse(
        _stream(database, wanted)
        if isinstance(request, ASGIRequest)
        else _stream_in_thread(database, wanted),
        content_type=_EVENT_STREAM,
    )
    # Compression would hold frames back: in middleware, in proxies, and in nginx its buffer.
    response["Content-Encoding"] = "identity"
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"
    return _allow_origin(request, response)


def _refuse(request: HttpRequest, reason: str, status: int) -> HttpResponse:
    """Return a refusal that a browser does not repeat at once.

    The browser client tries again every second, for ever, after any status but 200.
    """
    log_once_a_minute(conf.using, f"stream of channels refused: {reason}")
    if _EVENT_STREAM not in request.headers.get("Accept", ""):
        return JsonResponse({"error": reason}, status=status)
    return HttpResponse(_encode_refusal(reason), content_type=_EVENT_STREAM)


def _encode_refusal(reason: str) -> bytes:
    return frames.encode_retry(frames.REFUSED_RETRY_SECONDS) + frames.encode_error(reason)


def _allow_origin(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    origin = request.headers.get("Origin", "")
    if conf.allowed_origins:
        response["Vary"] = "Origin"
    if origin in conf.allowed_origins:
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Allow-Credentials"] = "true"
    return response


async def _stream(database: Database, wanted: StreamRequest) -> AsyncIterator[bytes]:
    with ExitStack() as stack:
        if stack.enter_context(get_process_state(OpenStreams).open(wanted.limits)) is not None:
            yield _encode_refusal("too many open streams")
            return
        task = asyncio.current_task()
        assert task is not None
        # Django does not close this generator when a client disconnects that did not read.
        task.add_done_callback(lambda _: stack.close())
        await release_thread()
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + conf.max_duration
        # A client that does not read suspends this generator, not the timer.
        timer = loop.call_later(conf.max_duration + _GRACE_SECONDS, task.cancel)
        stack.callback(timer.cancel)
        reader = TaskReader(database, wanted.positions, _LIMITS, one_page=True)
        stack.callback(reader.close)
        encoder = frames.FrameEncoder(wanted.positions)
        try:
            yield frames.encode_retry(1.0)
            while (left := ends_at - loop.time()) > 0:
                items = await reader.receive_all(min(conf.ping_interval, left))
                if items:
                    yield encoder.encode(items)
                elif ends_at - loop.time() > 0:
                    yield frames.encode_ping()
            yield frames.encode_reconnect()
        except ContinuumError as error:
            log_once_a_minute(conf.using, f"stream of channels ended: {error}")
            yield _encode_refusal("the channel cannot be read")


def _stream_in_thread(database: Database, wanted: StreamRequest) -> Iterator[bytes]:
    streams = get_process_state(OpenStreams)
    with streams.open(wanted.limits) as full, streams.open({"threads": conf.max_threads}) as polls:
        if full is not None:
            yield _encode_refusal("too many open streams")
            return
        reader = ThreadReader(database, wanted.positions, _LIMITS, one_page=True)
        encoder = frames.FrameEncoder(wanted.positions)
        try:
            if polls is not None:
                yield from _poll(database, reader, encoder)
                return
            yield frames.encode_retry(1.0)
            ends_at = monotonic() + conf.max_duration
            while (left := ends_at - monotonic()) > 0:
                items = reader.receive_all(min(conf.ping_interval, left))
                if items:
                    yield encoder.encode(items)
                elif ends_at - monotonic() > 0:
                    yield frames.encode_ping()
            yield frames.encode_reconnect()
        except ContinuumError as error:
            log_once_a_minute(conf.using, f"stream of channels ended: {error}")
            yield _encode_refusal("the channel cannot be read")
        finally:
            reader.close()


def _poll(
    database: Database, reader: ThreadReader, encoder: frames.FrameEncoder
) -> Iterator[bytes]:
    """Yield what there is, and when to ask again."""
    yield frames.encode_retry(conf.poll_interval / 1.5)
    config = database.config
    timeout = config.connect_timeout + config.read_timeout
    while items := reader.receive_all(timeout):
        yield encoder.encode(items)
        timeout = 0.0
