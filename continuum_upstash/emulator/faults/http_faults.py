"""Applies the faults of the REST side: before the request, to its commands, to its response."""

import asyncio
from typing import Final

from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from continuum_upstash.emulator.commands import error_messages
from continuum_upstash.emulator.commands.command_specs import CommandSpecs
from continuum_upstash.emulator.faults.model import Fault, FaultKind, Faults, Side
from continuum_upstash.emulator.listeners import reset
from continuum_upstash.emulator.redis.resp2_wire import Argv, Error

_MONTHLY_LIMIT: Final = 500_000  # commands, on the free pricing plan


async def apply_before_request(faults: Faults, scope: Scope) -> ASGIApp | None:
    """Wait for the latency; return the response that replaces the request, if there is one."""
    if latency := faults.consume(FaultKind.LATENCY, Side.REST):
        await asyncio.sleep(latency.delay)
    if faults.consume(FaultKind.RESET, Side.REST):
        reset(scope["state"]["connection"].transport)
        return _wait_for_disconnect
    if faults.consume(FaultKind.HANG, Side.REST):
        return _wait_for_disconnect
    if gateway := faults.consume(FaultKind.HTTP, Side.REST):
        return _build_gateway_page(gateway)
    return None


def apply_to_response(faults: Faults, response: Response) -> ASGIApp:
    """Return the response, truncated or corrupted by a fault. Event streams are not changed."""
    if isinstance(response, StreamingResponse):
        return response
    if faults.consume(FaultKind.CLOSE, Side.REST):
        return _TruncatedResponse(response)
    if faults.consume(FaultKind.GARBAGE, Side.REST):
        garbage = b"\x00\xff" + bytes(response.body)[::-1]
        return Response(garbage, response.status_code, media_type=response.media_type)
    return response


class CommandFaults:
    """Finds the errors that faults cause for the commands of one request.

    A fault with a limited number of requests counts a request once, whatever its commands.
    """

    def __init__(self, faults: Faults, specs: CommandSpecs, data_size: int) -> None:
        self._faults = faults
        self._specs = specs
        self._data_size = data_size
        self._active: dict[FaultKind, bool] = {}

    def find_error(self, argv: Argv) -> Error | None:
        if self._is_active(FaultKind.QUOTA):
            return error_messages.quota_reached(_MONTHLY_LIMIT, _MONTHLY_LIMIT)
        if self._specs.is_denied_on_oom(argv) and self._is_active(FaultKind.CAPACITY):
            return error_messages.capacity_reached(self._data_size, self._data_size)
        if self._specs.is_write(argv) and self._is_active(FaultKind.READONLY):
            return error_messages.READ_ONLY_UPGRADE
        return None

    def _is_active(self, kind: FaultKind) -> bool:
        if kind not in self._active:
            self._active[kind] = self._faults.consume(kind, Side.REST) is not None
        return self._active[kind]


def _build_gateway_page(fault: Fault) -> Response:
    retry = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    return HTMLResponse(f"<html><h1>{fault.status}</h1></html>", fault.status, retry)


async def _wait_for_disconnect(_scope: Scope, receive: Receive, _send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _TruncatedResponse:
    """Sends half of the body and closes the connection."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_half(message: Message) -> None:
            if message["type"] == "http.response.body":
                body = message["body"]
                message = {**message, "body": body[: len(body) // 2], "more_body": True}
            await send(message)

        await self._response(scope, receive, send_half)
        scope["state"]["connection"].transport.close()
        await _wait_for_disconnect(scope, receive, send)
