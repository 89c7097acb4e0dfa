"""Writes a process's last totals when an ASGI server shuts down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from continuum_upstash.stats.shared.writer import flush_at_exit

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_Application: TypeAlias = Callable[[_Message, _Receive, _Send], Awaitable[None]]


def handle_lifespan(application: _Application) -> _Application:
    """Return an ASGI application that also answers lifespan events, which Django's does not.

    At the event ``lifespan.shutdown`` it writes the last totals of the process; see
    docs/how-to/monitor.md for what this bills. Errors are logged. uvicorn ends its process with the
    signal that it received, and hooks of `atexit` do not run.

    Args:
        application: Django's, from `get_asgi_application()`.
    """

    async def handle(scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await asyncio.to_thread(flush_at_exit)
        await send({"type": "lifespan.shutdown.complete"})

    return handle
