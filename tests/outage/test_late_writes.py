"""An abandoned write does not arrive after the network is restored.

The operating system retransmits the unacknowledged data of a closed socket for minutes. On Linux,
/proc/net/tcp shows such a socket with the state 04, FIN-WAIT-1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

CLIENT = """
    import asyncio, json, sys
    from pathlib import Path
    from continuum_upstash import AsyncUpstashCache, UpstashCache

    settings = json.loads(sys.argv[1]) | {"read_timeout": 0.3, "connect_timeout": 0.3}

    def wait_for_network_cut():
        print("connected", flush=True)
        sys.stdin.readline()

    def report():
        sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        print(json.dumps([socket[3] for socket in sockets]), flush=True)

    async def main():
        async with AsyncUpstashCache(**settings) as cache:
            await cache.incr("n")
            wait_for_network_cut()
            await cache.incr("n")
            await asyncio.sleep(0)
            report()

    if sys.argv[2] == "async":
        asyncio.run(main())
    else:
        with UpstashCache(**settings) as cache:
            cache.incr("n")
            wait_for_network_cut()
            cache.incr("n")
            report()
"""
FIN_WAIT_1 = "04"


@pytest.mark.parametrize(
    ("api", "transport", "tls"),
    [
        ("sync", "rest", True),
        ("sync", "tcp", False),
        ("async", "rest", False),
        ("async", "tcp", True),
    ],
)
def test_an_abandoned_write_is_not_sent_again(
    api, transport, tls, network, start_servers, make_certificate
):
    *certificate, ca = make_certificate("right", network.host)
    servers = start_servers(
        command_prefix=network.servers, host=network.host, certificate=certificate if tls else None
    )
    settings = getattr(servers, transport) | ({"ca_file": str(ca)} if tls else {})
    command = [sys.executable, "-c", textwrap.dedent(CLIENT), json.dumps(settings), api]
    with subprocess.Popen(
        [*network.clients, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdout.readline() == "connected\n"
        network.drop()
        client.stdin.write("\n")
        client.stdin.flush()
        states = json.loads(client.stdout.readline())
    assert FIN_WAIT_1 not in states
