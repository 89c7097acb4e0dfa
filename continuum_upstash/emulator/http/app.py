"""The REST API as an ASGI application."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from continuum_upstash.emulator.commands import error_messages
from continuum_upstash.emulator.commands.engine import Engine
from continuum_upstash.emulator.faults import http_faults
from continuum_upstash.emulator.faults.model import Faults
from continuum_upstash.emulator.faults.read_routing import View, Views
from continuum_upstash.emulator.http import requests as forms
from continuum_upstash.emulator.http import responses as replies
from continuum_upstash.emulator.http import sse
from continuum_upstash.emulator.http.auth import Tokens, presented
from continuum_upstash.emulator.http.requests import Refused
from continuum_upstash.emulator.redis.connection import Address, UpstreamError
from continuum_upstash.emulator.usage import Ledger

_METHODS: Final = frozenset(("HEAD", "GET", "POST", "PUT"))
_SYNC_TOKEN: Final = "Upstash-Sync-Token"  # noqa: S105 - a header's name


class RestApi:
    def __init__(
        self,
        *,
        engine: Engine,
        views: Views,
        redis: Address,
        tokens: Tokens,
        ledger: Ledger,
        faults: Faults,
    ) -> None:
        self._engine = engine
        self._views = views
        self._redis = redis
        self._tokens = tokens
        self._ledger = ledger
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self._ledger.rest.requests += 1
        struck = await http_faults.before(self._faults, scope)
        response = struck or http_faults.after(self._faults, await self._respond(request))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return _preflight(request)
        if request.method not in _METHODS:
            return Response(status_code=405)
        try:
            response = await self._authorized(request)
        except Refused as refusal:
            response = _refusal(str(refusal), refusal.status)
        except UpstreamError as error:
            response = _refusal(f"ERR the emulator lost its Redis: {error}", 500)
        _allow_origin(request, response)
        return response

    async def _authorized(self, request: Request) -> Response:
        token = presented(request.headers, request.scope["query_string"])
        full = self._tokens.is_full(token)
        if not full and not self._tokens.is_read_only(token):
            raise Refused(error_messages.UNAUTHORIZED, 401)
        segments = forms.split_path(request.scope["raw_path"])
        if sse.wanted(request.headers, segments):
            if not full and segments[0].lower() == b"monitor":
                raise Refused(error_messages.no_permission(segments[0]).decode())
            stream = sse.listen(self._redis, segments)
            return StreamingResponse(stream, media_type=sse.MEDIA_TYPE)
        try:
            return await self._run(request, segments, read_only=not full)
        except Refused as refusal:
            response = _refusal(str(refusal), refusal.status)
            response.headers[_SYNC_TOKEN] = self._views.token
            return response

    async def _run(self, request: Request, segments: list[bytes], *, read_only: bool) -> Response:
        format_ = replies.Format.of(request.headers)
        body = await request.body()
        form = forms.read(request.method, segments, request.scope["query_string"], body)
        view = self._view(form, request.headers.get(_SYNC_TOKEN, ""))
        if view.replica:
            self._ledger.charge(len(form.commands))  # the primary's statistics miss them
        outage = http_faults.Outage(
            self._faults, self._engine.catalogue, self._engine.limits.data_size
        )
        answered = await self._engine.run(form, view.pool, outage.refusal, read_only=read_only)
        written = replies.write(form.kind, answered, format_)
        self._ledger.rest.bytes_received += len(body)
        self._ledger.rest.bytes_sent += len(written.content)
        return Response(
            written.content, written.status, {_SYNC_TOKEN: view.token}, written.content_type
        )

    def _view(self, form: forms.Form, token: str) -> View:
        if self._engine.writes(form.commands):
            self._views.wrote()
            return self._views.for_writing()
        return self._views.for_reading(token)


def _refusal(text: str, status: int) -> Response:
    return Response(replies.write_refusal(text), status, media_type=replies.JSON_TYPE)


def _preflight(request: Request) -> Response:
    response = Response(status_code=200)
    _allow_origin(request, response)
    response.headers["Access-Control-Allow-Methods"] = ", ".join(sorted(_METHODS))
    wanted = request.headers.get("access-control-request-headers", "*")
    response.headers["Access-Control-Allow-Headers"] = wanted
    return response


def _allow_origin(request: Request, response: Response) -> None:
    if origin := request.headers.get("origin"):
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
