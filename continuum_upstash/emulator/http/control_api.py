"""The control API: read and reset the usage, activate and remove faults, delete all data.

The Developer API, `/v2/…`, is on the same port.

It has a port of its own because it must respond while the public port refuses connections.
"""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from continuum_upstash.emulator.commands import error_messages
from continuum_upstash.emulator.developer_api import DeveloperAccount, DeveloperApi
from continuum_upstash.emulator.emulator_options import InvalidOption
from continuum_upstash.emulator.faults.controller import FaultController
from continuum_upstash.emulator.faults.model import Fault
from continuum_upstash.emulator.http.auth import RestTokens, read_token
from continuum_upstash.emulator.redis.embedded_valkey import ValkeyUnavailable
from continuum_upstash.emulator.redis.upstream import UpstreamError, UpstreamPool
from continuum_upstash.emulator.usage import UsageCounter

if TYPE_CHECKING:
    from continuum_upstash.emulator.qstash.deliveries import Deliveries

_Handler: TypeAlias = Callable[[Request], Awaitable[Any]]


class ControlApi:
    """`/_emulator/…`, which requires the full token, and `/v2/…`."""

    def __init__(
        self,
        pool: UpstreamPool,
        tokens: RestTokens,
        usage: UsageCounter,
        controller: FaultController,
        *,
        developer_api: DeveloperApi,
        deliveries: "Deliveries | None" = None,
    ) -> None:
        self._pool = pool
        self._tokens = tokens
        self._usage = usage
        self._controller = controller
        self._deliveries = deliveries
        self._developer_api = developer_api
        self._routes: dict[tuple[str, str], _Handler] = {
            ("GET", "/_emulator/count"): self._read_usage,
            ("DELETE", "/_emulator/count"): self._reset_usage,
            ("DELETE", "/_emulator/data"): self._flush,
            ("DELETE", "/_emulator"): self._reset_all,
            ("GET", "/_emulator/faults"): self._list_faults,
            ("POST", "/_emulator/faults"): self._add_fault,
            ("DELETE", "/_emulator/faults"): self._remove_faults,
            ("POST", "/_emulator/account"): self._set_account,
        }
        if deliveries is not None:
            self._routes["GET", "/_emulator/qstash"] = self._count_messages
            self._routes["POST", "/_emulator/qstash/clock"] = self._advance_clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.url.path.startswith("/v2/"):
            await self._developer_api(scope, receive, send)
            return
        response = await self._respond(request)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> JSONResponse:
        if not self._tokens.is_full(read_token(request.headers, request.scope["query_string"])):
            return JSONResponse({"error": error_messages.UNAUTHORIZED}, 401)
        handler = self._routes.get((request.method, request.url.path))
        if handler is None:
            known = sorted(f"{method} {path}" for method, path in self._routes)
            return JSONResponse({"error": f"unknown route; known: {', '.join(known)}"}, 404)
        try:
            return JSONResponse(await handler(request))
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        except (UpstreamError, ValkeyUnavailable) as error:
            return JSONResponse({"error": str(error)}, 500)

    async def _read_usage(self, _: Request) -> Any:
        async with self._pool.connection() as connection:
            return await self._usage.report(connection)

    async def _reset_usage(self, _: Request) -> Any:
        async with self._pool.connection() as connection:
            await self._usage.reset(connection)
        return {}

    async def _flush(self, _: Request) -> Any:
        async with self._pool.connection() as connection:
            await connection.send([(b"FLUSHALL",)])
        self._usage.subtract(1)
        return {}

    async def _reset_all(self, _: Request) -> Any:
        self._developer_api.reset()
        await self._controller.deactivate_all()
        if self._deliveries is not None:
            self._deliveries.reset()
        async with self._pool.connection() as connection:
            await connection.send([(b"FLUSHALL",)])
            await self._usage.reset(connection)
        return {}

    async def _count_messages(self, _: Request) -> Any:
        assert self._deliveries is not None
        return {
            "messages": len(self._deliveries.messages),
            "schedules": len(self._deliveries.schedules),
            "dead_letters": len(self._deliveries.dead_letters),
        }

    async def _advance_clock(self, request: Request) -> Any:
        assert self._deliveries is not None
        match json.loads(await request.body()):
            case {"advance": int() | float() as seconds}:
                self._deliveries.advance(seconds)
                return {}
        raise InvalidOption('the body must be a JSON object, for example {"advance": 60}')

    async def _set_account(self, request: Request) -> Any:
        match json.loads(await request.body()):
            case dict() as options:
                self._developer_api.account = DeveloperAccount.build(options)
                return {}
        raise InvalidOption("an account must be a JSON object")

    async def _list_faults(self, _: Request) -> Any:
        return self._controller.faults.as_dict()

    async def _add_fault(self, request: Request) -> Any:
        match json.loads(await request.body()):
            case dict() as options:
                return {"number": await self._controller.activate(Fault.parse(options))}
        raise InvalidOption(
            'a fault must be a JSON object, for example {"kind": "latency", "seconds": 0.2}'
        )

    async def _remove_faults(self, request: Request) -> Any:
        number = request.query_params.get("number")
        if number is None:
            await self._controller.deactivate_all()
        else:
            await self._controller.deactivate(int(number))
        return {}
