from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

import pytest

from tests.ports import find_free_port
from tests.waiting import wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"
PROJECT = DEPLOY / "project"


class UnixConnection(HTTPConnection):
    """A connection to a Unix socket, as a proxy opens it."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Site:
    """The deployed site on a local port, or on a Unix socket."""

    def __init__(self, port: int, *, tls: bool = False, path: Path | None = None) -> None:
        self.port = port
        self.process_group = 0  # of the server and its workers
        self._tls, self._path = tls, path

    def connect(self, timeout: float) -> HTTPConnection:
        if self._path:
            return UnixConnection(self._path, timeout)
        if self._tls:
            context = ssl._create_unverified_context()  # the certificate is made for one test
            return HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=context)
        return HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the server."""
        os.killpg(self.process_group, number)

    def get(self, path: str, **headers: str) -> tuple[int, Message, str]:
        connection = self.connect(timeout=10)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request("GET", path, headers={"Host": "localhost", **names})
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()


@pytest.fixture
def site_environment(emulator) -> dict[str, str]:
    """The variables of a deployed site, with the emulator as the database; nothing else of ours."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "DJANGO_SECRET_KEY": "of-the-tests",
        "UPSTASH_REDIS_REST_URL": emulator.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": emulator.token,
    }


@pytest.fixture
def start_site(site_environment, tmp_path):
    """Return a context manager that runs a command until its site serves requests."""

    @contextmanager
    def start(
        command: list[str],
        folder: Path = PROJECT,
        tls_port: int = 0,
        port_variable: str = "PORT",
        **variables: str,
    ) -> Iterator[Site]:
        site = Site(tls_port or find_free_port(), tls=bool(tls_port))
        environment = {**site_environment, port_variable: str(site.port), **variables}
        log = tmp_path / "site.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        site.process_group = process.pid
        try:
            wait_until(lambda: process.poll() is not None or is_served(site))
            assert process.poll() is None, log.read_text()
            yield site
        finally:
            process.terminate()
            process.wait(timeout=20)

    return start


def is_served(site: Site) -> bool:
    try:
        return site.get("/health/live/")[0] == 200
    except OSError:
        return False


def read_stage(stage: str) -> str:
    """The instructions of one stage of the Dockerfile."""
    text = (DEPLOY / "docker" / "Dockerfile").read_text().replace("\\\n", "")
    (found,) = re.findall(
        rf"^FROM \S+ AS {stage}\n(.*?)(?=^FROM|\Z)", text, re.DOTALL | re.MULTILINE
    )
    return found
