"""The REST API as an ASGI application."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from . import forms, replies, texts
from .billing import Ledger
from .engine import Engine
from .faults import Faults
from .forms import Refused
from .tokens import SyncCounter, Tokens, base32, presented
from .upstream import UpstreamError

_METHODS: Final = frozenset(("HEAD", "GET", "POST", "PUT"))


class RestApi:
    def __init__(self, engine: Engine, tokens: Tokens, ledger: Ledger, faults: Faults) -> None:
        self._engine = engine
        self._tokens = tokens
        self._ledger = ledger
        self._faults = faults
        self._sync = SyncCounter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._respond(request)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return _preflight(request)
        if request.method not in _METHODS:
            return Response(status_code=405)
        try:
            response = await self._answer(request)
        except Refused as refusal:
            response = _refusal(str(refusal), refusal.status)
        except UpstreamError as error:
            response = _refusal(f"ERR the emulator lost its Redis: {error}", 500)
        _allow_origin(request, response)
        return response

    async def _answer(self, request: Request) -> Response:
        query = request.scope["query_string"]
        token = presented(request.headers, query)
        full = self._tokens.is_full(token)
        if not full and not self._tokens.is_read_only(token):
            raise Refused(texts.UNAUTHORIZED, 401)
        format_ = replies.Format.of(request.headers)
        segments = forms.split_path(request.scope["raw_path"])
        body = await request.body()
        form = forms.read(request.method, segments, query, body)
        answered = await self._engine.run(form, read_only=not full)
        if self._engine.writes(form.commands):
            self._sync.moved()
        written = replies.write(form.kind, answered, format_)
        self._count(body, written.content)
        return Response(
            written.content,
            written.status,
            {"Upstash-Sync-Token": base32(self._sync.value)},
            written.content_type,
        )

    def _count(self, body: bytes, content: bytes) -> None:
        self._ledger.rest.requests += 1
        self._ledger.rest.bytes_received += len(body)
        self._ledger.rest.bytes_sent += len(content)


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
