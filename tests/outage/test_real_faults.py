"""Faults of servers and networks under load: no call raises an error or returns a stale value.

Four processes with eight threads or tasks each serve pages of ten calls on the same keys, two over
REST and two over TCP. Set TEST_LENGTH=30 for 100,000 recorded operations and more per fault, and
for more faults.
"""

from __future__ import annotations

import logging
import os
import signal
import time

import pytest

from tests.outage.load import INTERVAL
from tests.outage.servers import kill

logger = logging.getLogger(__name__)  # --log-cli-level=INFO shows the figures
LENGTH = int(os.environ.get("TEST_LENGTH", "0"))
CALLS = 1_000 * LENGTH or 500


def list_mixed_clients(servers):
    return [(api, client) for api in ("sync", "async") for client in (servers.rest, servers.tcp)]


def list_sync_clients(servers):
    return [("sync", servers.rest), ("sync", servers.tcp)] * 2


class Outage:
    """The course of a test: normal operation, a fault, its end, normal operation again."""

    def __init__(self, load, calls=CALLS):
        self.load, self.calls = load, calls
        load.wait_for_state("closed")
        load.wait_for_calls(calls)

    def __enter__(self):
        return self

    def wait_until_open(self):
        """Wait until the breakers of all processes are open, and for further calls."""
        self.load.wait_for_state("open", "half_open")
        self.load.wait_for_calls(self.calls)

    def __exit__(self, kind, error, traceback):
        if kind is not None:
            return
        ended = time.monotonic()
        self.load.wait_for_state("closed")
        self.recovered = time.monotonic() - ended
        self.load.wait_for_calls(self.calls)
        self.load.stop()


def check(outage, record_property):
    report = outage.load.get_report()
    figures = f"{report}; all recovered {outage.recovered:.2f} s after the fault's end"
    record_property("figures", figures)
    logger.info(figures)
    assert report.failures == []
    assert report.stale == []
    assert report.p99 < 0.05
    # The backoff ends within the interval; the probe after it may take its call's deadlines.
    assert outage.recovered < INTERVAL + 4


@pytest.mark.parametrize("clients", [list_mixed_clients, *([list_sync_clients] if LENGTH else [])])
def test_the_front_is_killed_and_restarted(clients, start_servers, start_load, record_property):
    servers = start_servers()
    with Outage(start_load(clients(servers))) as outage:
        kill(servers.front)
        outage.wait_until_open()
        servers.restart_front()
    check(outage, record_property)


def test_the_database_is_killed_and_restarted(start_servers, start_load, record_property):
    servers = start_servers()
    with Outage(start_load(list_mixed_clients(servers))) as outage:
        kill(servers.database)
        outage.wait_until_open()
        servers.restart_database()
    check(outage, record_property)


@pytest.mark.parametrize("process_name", ["front", *(["database"] if LENGTH else [])])
def test_a_server_is_stopped_for_a_while(process_name, start_servers, start_load, record_property):
    servers = start_servers()
    with Outage(start_load(list_mixed_clients(servers))) as outage:
        process = getattr(servers, process_name)
        process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        outage.wait_until_open()
        time.sleep(max(0.0, stopped + min(10, 2 * LENGTH) - time.monotonic()))
        process.send_signal(signal.SIGCONT)
    check(outage, record_property)


@pytest.mark.parametrize(
    ("setting", "value", "normal"),
    [
        pytest.param("maxmemory", 1, 0, id="full"),
        pytest.param("min-replicas-to-write", 1, 0, id="no writes"),
    ][: 2 if LENGTH else 1],
)
def test_the_database_refuses_writes(
    setting, value, normal, start_servers, start_load, record_property
):
    servers = start_servers()
    with Outage(start_load(list_mixed_clients(servers))) as outage:
        servers.configure(setting, value)
        outage.load.wait_for_calls(2 * outage.calls)
        states = {worker.state for worker in outage.load.workers}
        servers.configure(setting, normal)
    report = outage.load.get_report()
    record_property("figures", str(report))
    logger.info("%s", report)
    assert states == {"closed"}, "reads succeed, so the breaker stays closed"
    assert report.failures == []
    assert report.stale == []


@pytest.mark.parametrize("only_replies", [False, *([True] if LENGTH else [])])
def test_packets_are_dropped(only_replies, network, start_servers, start_load, record_property):
    servers = start_servers(command_prefix=network.servers, host=network.host)
    with Outage(start_load(list_mixed_clients(servers), command_prefix=network.clients)) as outage:
        network.drop(only_replies=only_replies)
        outage.wait_until_open()
        network.deliver()
    check(outage, record_property)


def test_the_certificate_is_replaced_by_an_untrusted_one(
    make_certificate, start_servers, start_load, record_property
):
    *right, ca = make_certificate("right")
    *wrong, _ = make_certificate("wrong")
    servers = start_servers(certificate=right)
    trusting = [(api, client | {"ca_file": str(ca)}) for api, client in list_mixed_clients(servers)]
    with Outage(start_load(trusting)) as outage:
        servers.restart_front(wrong)
        outage.wait_until_open()
        servers.restart_front(right)
    check(outage, record_property)


def test_the_port_accepts_connections_and_never_replies(start_servers, start_load, record_property):
    servers = start_servers()
    with Outage(start_load(list_mixed_clients(servers))) as outage:
        kill(servers.front)
        listeners = servers.accept_without_replies()
        outage.wait_until_open()
        for listener in listeners:
            listener.close()
        servers.restart_front()
    check(outage, record_property)
