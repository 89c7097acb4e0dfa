"""How the REST faults strike: in front of the request, in its commands, or in its reply."""

import asyncio
from typing import Final

from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from continuum_upstash.emulator.commands import error_messages
from continuum_upstash.emulator.commands.command_specs import Catalogue
from continuum_upstash.emulator.faults.model import Fault, FaultKind, Faults, Side
from continuum_upstash.emulator.listeners import reset
from continuum_upstash.emulator.redis.resp2 import Argv, Error

_MONTHLY_LIMIT: Final = 500_000  # commands, on the free plan


async def before(faults: Faults, scope: Scope) -> ASGIApp | None:
    """Wait for a slow network; return what answers in the service's place, if something does."""
    if latency := faults.take(FaultKind.LATENCY, Side.REST):
        await asyncio.sleep(latency.delay)
    if faults.take(FaultKind.RESET, Side.REST):
        reset(scope["state"]["connection"].transport)
        return _until_the_client_leaves
    if faults.take(FaultKind.HANG, Side.REST):
        return _until_the_client_leaves
    if gateway := faults.take(FaultKind.HTTP, Side.REST):
        return _gateway_page(gateway)
    return None


def after(faults: Faults, response: Response) -> ASGIApp:
    """The response as it comes through; a stream of events is left alone."""
    if isinstance(response, StreamingResponse):
        return response
    if faults.take(FaultKind.CLOSE, Side.REST):
        return _CutShort(response)
    if faults.take(FaultKind.GARBAGE, Side.REST):
        garbage = b"\x00\xff" + bytes(response.body)[::-1]
        return Response(garbage, response.status_code, media_type=response.media_type)
    return response


class Outage:
    """The refusals of one request's commands. A fault strikes a request once, or not at all."""

    def __init__(self, faults: Faults, catalogue: Catalogue, data_size: int) -> None:
        self._faults = faults
        self._catalogue = catalogue
        self._data_size = data_size
        self._struck: dict[FaultKind, bool] = {}

    def refusal(self, argv: Argv) -> Error | None:
        if self._strikes(FaultKind.QUOTA):
            return error_messages.quota_reached(_MONTHLY_LIMIT, _MONTHLY_LIMIT)
        if self._catalogue.grows(argv) and self._strikes(FaultKind.CAPACITY):
            return error_messages.capacity_reached(self._data_size, self._data_size)
        if self._catalogue.writes(argv) and self._strikes(FaultKind.READONLY):
            return error_messages.READ_ONLY_UPGRADE
        return None

    def _strikes(self, kind: FaultKind) -> bool:
        if kind not in self._struck:
            self._struck[kind] = self._faults.take(kind, Side.REST) is not None
        return self._struck[kind]


def _gateway_page(fault: Fault) -> Response:
    retry = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return HTMLResponse(f"<html><h1>{fault.status}</h1></html>", fault.status, retry)


async def _until_the_client_leaves(_scope: Scope, receive: Receive, _send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _CutShort:
    """Half of the body, and then the end of the connection."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def half(message: Message) -> None:
            if message["type"] == "http.response.body":
                body = message["body"]
                message = {**message, "body": body[: len(body) // 2], "more_body": True}
            await send(message)

        await self._response(scope, receive, half)
        scope["state"]["connection"].transport.close()
        await _until_the_client_leaves(scope, receive, send)
