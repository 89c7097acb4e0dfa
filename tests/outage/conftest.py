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

from tests.outage.load import Crowd
from tests.outage.site import Site


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def open_site(tmp_path: Path, cleanup: ExitStack) -> Callable[..., Site]:
    def open_site(**settings: Any) -> Site:
        site = Site(tmp_path, **settings)
        cleanup.callback(site.stop)
        return site

    return open_site


@pytest.fixture
def gather(tmp_path: Path, cleanup: ExitStack) -> Callable[..., Crowd]:
    def gather(clients: Any, **settings: Any) -> Crowd:
        crowd = Crowd(clients, tmp_path, **settings)
        cleanup.callback(crowd.stop)
        return crowd

    return gather


class Network:
    """Clients and servers in networks of their own, with a router between them.

    Attributes:
        servers, clients: what a command is prefixed with to run there.
        host: the servers' address.
    """

    host = "10.213.2.2"

    def __init__(self) -> None:
        mine = f"outage-{os.getpid()}"  # tests may run side by side
        self._all = [f"{mine}-{name}" for name in ("clients", "router", "servers")]
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
        """Let packets vanish without a word."""
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
    """Return a function that makes a certificate of an authority of its own: (chain, key, CA)."""

    def make(name: str, host: str = "127.0.0.1") -> tuple[Path, Path, Path]:
        authority = trustme.CA()
        issued = authority.issue_cert(host)
        chain, key, ca = (tmp_path / f"{name}.{kind}.pem" for kind in ("chain", "key", "ca"))
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        authority.cert_pem.write_to_path(str(ca))
        return chain, key, ca

    return make
