"""Applies the faults of the REST side: before the request, and to its response."""

import asyncio

from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from continuum_upstash.emulator.faults.model import Fault, FaultKind, Faults, Side
from continuum_upstash.emulator.listeners import reset


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
