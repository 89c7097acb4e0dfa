"""Listening ports that can really be closed and opened again."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from continuum_upstash.emulator.usage import Ledger


class PortTaken(OSError):
    """The port is in use; the message says what to do."""


class Door:
    """A listening port. Raises PortTaken when it is made."""

    def __init__(
        self,
        host: str,
        port: int,
        accept: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._host = host
        self._accept = accept
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._reserved = _bind(host, port)
        self.port: int = self._reserved.getsockname()[1]

    async def open(self) -> None:
        if self._server is None:
            self._server = await asyncio.get_running_loop().create_server(
                self._accept, sock=self._reserved, ssl=self._tls, backlog=1024
            )

    def refuse(self) -> None:
        """Stop listening, so that new connections are refused, but keep the port as ours."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._reserved = _bind(self._host, self.port)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._reserved.close()


class HttpSide:
    """Makes uvicorn's protocol for each accepted connection, and knows those that are open."""

    def __init__(self, app: Callable[..., Any], ledger: Ledger | None, keep_alive: int) -> None:
        self._ledger = ledger
        self._state = ServerState()
        self._config = uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=keep_alive,
        )
        self._config.load()

    def accept(self) -> asyncio.Protocol:
        if self._ledger is not None:
            self._ledger.rest.connections += 1
        state: dict[str, Any] = {}
        protocol = HttpToolsProtocol(self._config, self._state, app_state=state)
        # The application finds its connection here, to end it in the ways of a bad network.
        state["connection"] = protocol
        return protocol

    def reset_all(self) -> None:
        for connection in tuple(self._state.connections):
            if connection.transport is not None:
                reset(connection.transport)


def reset(transport: asyncio.Transport) -> None:
    """End the connection with a TCP reset, as a crashed server or a middlebox does."""
    plain = transport.get_extra_info("socket")
    if plain is not None and not transport.is_closing():
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off only where the protocol is named.
    reserved = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.setblocking(False)
    try:
        reserved.bind((host, port))
    except OSError as error:
        reserved.close()
        raise PortTaken(
            f"cannot listen on {host}:{port} ({error.strerror}): "
            "choose another port, or 0 for any free one"
        ) from error
    return reserved
