from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.outage.load import Load
from tests.outage.servers import Servers


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start_servers(tmp_path: Path, cleanup: ExitStack) -> Callable[..., Servers]:
    def start(**settings: Any) -> Servers:
        servers = Servers(tmp_path, **settings)
        cleanup.callback(servers.stop)
        return servers

    return start


@pytest.fixture
def start_load(tmp_path: Path, cleanup: ExitStack) -> Callable[..., Load]:
    def start(clients: Any, **settings: Any) -> Load:
        load = Load(clients, tmp_path, **settings)
        cleanup.callback(load.stop)
        return load

    return start


class Network:
    """Clients and servers in separate network namespaces, with a router between them.

    Attributes:
        servers, clients: a command that runs another one there.
        host: the servers' address.
    """

    host = "10.213.2.2"

    def __init__(self) -> None:
        prefix = f"outage-{os.getpid()}"  # several test runs may be active
        self._all = [f"{prefix}-{name}" for name in ("clients", "router", "servers")]
        self._clients, self._router, self._servers = self._all
        self.servers = ("ip", "netns", "exec", self._servers)
        self.clients = ("ip", "netns", "exec", self._clients)

    def up(self) -> None:
        for name in self._all:
            _ip(f"netns add {name}")
            _ip(f"-n {name} link set lo up")
        for name, end, net in (
            (self._clients, "eth1", "10.213.1"),
            (self._servers, "eth2", "10.213.2"),
        ):
            _ip(f"link add eth0 netns {name} type veth peer name {end} netns {self._router}")
            _ip(f"-n {name} addr add {net}.2/24 dev eth0")
            _ip(f"-n {self._router} addr add {net}.1/24 dev {end}")
            _ip(f"-n {name} link set eth0 up")
            _ip(f"-n {self._router} link set {end} up")
            _ip(f"-n {name} route add default via {net}.1")
        _ip(f"netns exec {self._router} sysctl -q -w net.ipv4.ip_forward=1")

    def drop(self, *, only_replies: bool = False) -> None:
        """Drop packets without an ICMP message."""
        _ip(f"-n {self._router} route add blackhole 10.213.1.2/32")
        if not only_replies:
            _ip(f"-n {self._router} route add blackhole 10.213.2.2/32")

    def deliver(self) -> None:
        _ip(f"-n {self._router} route flush type blackhole")

    def down(self) -> None:
        for name in self._all:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)


@pytest.fixture
def network() -> Iterator[Network]:
    if os.name != "posix" or os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    network = Network()
    network.down()
    try:
        network.up()
    except subprocess.CalledProcessError as error:
        network.down()
        pytest.skip(f"network namespaces are not allowed here: {error}")
    yield network
    network.down()


@pytest.fixture
def make_certificate(tmp_path: Path) -> Callable[..., tuple[Path, Path, Path]]:
    """Return a function that makes a CA and a certificate: (chain, key, CA)."""

    def make(name: str, host: str = "127.0.0.1") -> tuple[Path, Path, Path]:
        authority = trustme.CA()
        issued = authority.issue_cert(host)
        chain, key, ca = (tmp_path / f"{name}.{kind}.pem" for kind in ("chain", "key", "ca"))
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        authority.cert_pem.write_to_path(str(ca))
        return chain, key, ca

    return make
