"""The private side: read and reset the count, switch faults, empty the database.

It has a port of its own, so that it answers while the public one refuses connections.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from continuum_upstash.emulator.commands import error_messages
from continuum_upstash.emulator.faults.controller import Switchboard
from continuum_upstash.emulator.faults.model import Fault
from continuum_upstash.emulator.http.auth import Tokens, presented
from continuum_upstash.emulator.options import BadOption
from continuum_upstash.emulator.redis.connection import Pool, UpstreamError
from continuum_upstash.emulator.redis.embedded_valkey import ValkeyUnavailable
from continuum_upstash.emulator.usage import Ledger

_Answer: TypeAlias = Callable[[Request], Awaitable[Any]]


class Control:
    """`/_emulator/…`, for the full token only."""

    def __init__(
        self, pool: Pool, tokens: Tokens, ledger: Ledger, switchboard: Switchboard
    ) -> None:
        self._pool = pool
        self._tokens = tokens
        self._ledger = ledger
        self._switchboard = switchboard
        self._routes: dict[tuple[str, str], _Answer] = {
            ("GET", "/_emulator/count"): self._count,
            ("DELETE", "/_emulator/count"): self._reset_count,
            ("DELETE", "/_emulator/data"): self._flush,
            ("DELETE", "/_emulator"): self._reset_all,
            ("GET", "/_emulator/faults"): self._list_faults,
            ("POST", "/_emulator/faults"): self._add_fault,
            ("DELETE", "/_emulator/faults"): self._remove_faults,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._respond(request)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> JSONResponse:
        if not self._tokens.is_full(presented(request.headers, request.scope["query_string"])):
            return JSONResponse({"error": error_messages.UNAUTHORIZED}, 401)
        answer = self._routes.get((request.method, request.url.path))
        if answer is None:
            known = sorted(f"{method} {path}" for method, path in self._routes)
            return JSONResponse({"error": f"there is {', '.join(known)}"}, 404)
        try:
            return JSONResponse(await answer(request))
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        except (UpstreamError, ValkeyUnavailable) as error:
            return JSONResponse({"error": str(error)}, 500)

    async def _count(self, _: Request) -> Any:
        async with self._pool.connection() as connection:
            return await self._ledger.report(connection)

    async def _reset_count(self, _: Request) -> Any:
        async with self._pool.connection() as connection:
            await self._ledger.reset(connection)
        return {}

    async def _flush(self, _: Request) -> Any:
        async with self._pool.connection() as connection:
            await connection.send([(b"FLUSHALL",)])
        self._ledger.forgive(1)
        return {}

    async def _reset_all(self, _: Request) -> Any:
        await self._switchboard.all_off()
        async with self._pool.connection() as connection:
            await connection.send([(b"FLUSHALL",)])
            await self._ledger.reset(connection)
        return {}

    async def _list_faults(self, _: Request) -> Any:
        return self._switchboard.faults.listed()

    async def _add_fault(self, request: Request) -> Any:
        match json.loads(await request.body()):
            case dict() as options:
                return {"number": await self._switchboard.on(Fault.read(options))}
        raise BadOption('a fault is an object such as {"kind": "latency", "seconds": 0.2}')

    async def _remove_faults(self, request: Request) -> Any:
        number = request.query_params.get("number")
        if number is None:
            await self._switchboard.all_off()
        else:
            await self._switchboard.off(int(number))
        return {}
