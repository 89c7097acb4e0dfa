"""Listening ports that can be closed and opened again, and the HTTP protocol behind them."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from continuum_upstash.emulator.http.http_protocol import HttpProtocol
from continuum_upstash.emulator.usage import UsageCounter


class PortInUse(OSError):
    """The port is in use or not permitted; the message says how to solve this."""


class Listener:
    """A port that is reserved when the object is created, and listens after `open`.

    Raises:
        PortInUse: from the constructor.
    """

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
        self._reserved = _reserve_port(host, port)
        self.port: int = self._reserved.getsockname()[1]

    async def open(self) -> None:
        if self._server is None:
            self._server = await asyncio.get_running_loop().create_server(
                self._accept, sock=self._reserved, ssl=self._tls, backlog=1024
            )

    def stop_listening(self) -> None:
        """Refuse new connections, but keep the port reserved."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._reserved = _reserve_port(self._host, self.port)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._reserved.close()


class HttpAcceptor:
    """Creates uvicorn's protocol for each accepted connection, and tracks open connections."""

    def __init__(
        self, app: Callable[..., Any], usage: UsageCounter | None, keep_alive: int
    ) -> None:
        self._usage = usage
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
        if self._usage is not None:
            self._usage.rest.connections += 1
        state: dict[str, Any] = {}
        protocol = HttpProtocol(self._config, self._state, app_state=state)
        # The application needs its connection to apply the faults reset and close.
        state["connection"] = protocol
        return protocol

    def reset_all(self) -> None:
        for connection in tuple(self._state.connections):
            if connection.transport is not None:
                reset(connection.transport)


def reset(transport: asyncio.Transport) -> None:
    """Close the connection with a TCP reset, as after a crash of the server."""
    raw_socket = transport.get_extra_info("socket")
    if raw_socket is not None and not transport.is_closing():
        raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _reserve_port(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm only on sockets created with the protocol number.
    reserved = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.setblocking(False)
    try:
        reserved.bind((host, port))
    except OSError as error:
        reserved.close()
        raise PortInUse(
            f"cannot listen on {host}:{port} ({error.strerror}): "
            "choose another port, or 0 for a free port"
        ) from error
    return reserved
