"""The REST API as an ASGI application."""

import asyncio
from contextlib import suppress
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from continuum_upstash.emulator.commands import error_messages
from continuum_upstash.emulator.commands.engine import Engine
from continuum_upstash.emulator.commands.request import ParsedRequest, RequestRejected
from continuum_upstash.emulator.faults import http_faults
from continuum_upstash.emulator.faults.command_faults import CommandFaults
from continuum_upstash.emulator.faults.model import Faults, Side
from continuum_upstash.emulator.faults.read_routing import ReadRouter, ReadTarget
from continuum_upstash.emulator.http import response_encoder, sse
from continuum_upstash.emulator.http.auth import RestTokens, read_token
from continuum_upstash.emulator.http.http_protocol import (
    HEAD_TOO_LARGE,
    MAX_HEAD_BYTES,
    measure_head,
)
from continuum_upstash.emulator.http.request_body import read_body
from continuum_upstash.emulator.http.request_parser import parse_request, split_path
from continuum_upstash.emulator.redis.upstream import Address, UpstreamError
from continuum_upstash.emulator.usage import UsageCounter

_METHODS: Final = frozenset(("HEAD", "GET", "POST", "PUT"))
_SYNC_TOKEN: Final = "Upstash-Sync-Token"  # noqa: S105 - a header's name


class RestApi:
    def __init__(
        self,
        *,
        engine: Engine,
        router: ReadRouter,
        redis: Address,
        tokens: RestTokens,
        usage: UsageCounter,
        faults: Faults,
    ) -> None:
        self._engine = engine
        self._router = router
        self._redis = redis
        self._tokens = tokens
        self._usage = usage
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self._usage.rest.requests += 1
        response = await http_faults.apply_before_request(self._faults, scope)
        if response is None:
            response = http_faults.apply_to_response(self._faults, await self._respond(request))
        with suppress(asyncio.CancelledError):  # the emulator stops while a stream is open
            await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return _build_preflight_response(request)
        if request.method not in _METHODS:
            return Response(status_code=405)
        if measure_head(request.scope) > MAX_HEAD_BYTES:
            return _build_error_response(f"ERR {HEAD_TOO_LARGE}", 431)
        if not self._engine.profile.has_command_paths and not _is_batch_path(request):
            return PlainTextResponse("Endpoint not found", 404)
        try:
            response = await self._authorize_and_run(request)
        except RequestRejected as rejection:
            response = _build_error_response(str(rejection), rejection.status)
        except UpstreamError as error:
            response = _build_error_response(
                f"ERR emulator: connection to Redis lost: {error}", 500
            )
        _allow_origin(request, response)
        return response

    async def _authorize_and_run(self, request: Request) -> Response:
        token = read_token(request.headers, request.scope["query_string"])
        full = self._tokens.is_full(token)
        if not full and not self._tokens.is_read_only(token):
            raise RequestRejected(error_messages.UNAUTHORIZED, 401)
        segments = split_path(request.scope["raw_path"])
        if sse.is_event_stream(request.headers, segments):
            if not full and segments[0].lower() == b"monitor":
                raise RequestRejected(error_messages.no_permission(segments[0]).decode())
            stream = sse.stream_events(self._redis, segments)
            return StreamingResponse(stream, media_type=sse.MEDIA_TYPE)
        try:
            return await self._run(request, segments, read_only=not full)
        except RequestRejected as rejection:
            response = _build_error_response(str(rejection), rejection.status)
            self._add_sync_token(response, self._router.token)
            return response

    async def _run(self, request: Request, segments: list[bytes], *, read_only: bool) -> Response:
        reply_format = self._read_format(request)
        body = await read_body(request, segments, self._engine.limits.request_size)
        parsed = parse_request(request.method, segments, request.scope["query_string"], body)
        if wait := self._faults.compute_wait(Side.REST, len(parsed.commands)):
            await asyncio.sleep(wait)
        target = self._route(parsed, request.headers.get(_SYNC_TOKEN, ""))
        if target.is_replica:
            self._usage.add(len(parsed.commands))  # the primary does not count them
        faults = CommandFaults(self._faults, self._engine, Side.REST)
        replies = await self._engine.run(
            parsed, target.pool, faults.find_error, read_only=read_only
        )
        encoded = response_encoder.encode_replies(parsed.type, replies, reply_format)
        self._usage.rest.bytes_received += len(body)
        self._usage.rest.bytes_sent += len(encoded.content)
        response = Response(encoded.content, encoded.status, media_type=encoded.content_type)
        self._add_sync_token(response, target.token)
        return response

    def _add_sync_token(self, response: Response, token: str) -> None:
        if self._engine.profile.has_sync_token:
            response.headers[_SYNC_TOKEN] = token

    def _read_format(self, request: Request) -> response_encoder.Format:
        headers = request.headers
        if self._engine.profile.has_resp2:
            return response_encoder.Format.from_headers(headers)
        return response_encoder.Format(resp2=False, base64="upstash-encoding" in headers)

    def _route(self, parsed: ParsedRequest, token: str) -> ReadTarget:
        if self._engine.has_write(parsed.commands):
            self._router.on_write()
            return self._router.route_write()
        return self._router.route_read(token)


def _is_batch_path(request: Request) -> bool:
    return request.method == "POST" and request.url.path in {"/", "/pipeline", "/multi-exec"}


def _build_error_response(text: str, status: int) -> Response:
    content = response_encoder.encode_error(text)
    return Response(content, status, media_type=response_encoder.JSON_TYPE)


def _build_preflight_response(request: Request) -> Response:
    response = Response(status_code=200)
    _allow_origin(request, response)
    response.headers["Access-Control-Allow-Methods"] = ", ".join(sorted(_METHODS))
    requested = request.headers.get("access-control-request-headers", "*")
    response.headers["Access-Control-Allow-Headers"] = requested
    return response


def _allow_origin(request: Request, response: Response) -> None:
    if origin := request.headers.get("origin"):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
