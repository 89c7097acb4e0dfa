"""Sends two commands over REST or TCP and prints the replies; a test stops this process."""

from __future__ import annotations

import sys
from contextlib import closing

from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.redis.transport import RedisTransport, make_plain_pool
from continuum_upstash.transports.rest.transport import RestTransport
from tests.integration.redis.tcp_clients import config_for
from tests.integration.rest.rest_clients import config

LIMITS = {"read_timeout": 0.3, "connect_timeout": 0.3}
INCR = Batch([("INCR", "n")])


def main(kind: str, port: str) -> None:
    if kind == "rest":
        transport = RestTransport(config(f"http://127.0.0.1:{port}", **LIMITS))
    else:
        settings = config_for(f"redis://127.0.0.1:{port}", **LIMITS)
        transport = RedisTransport(settings, make_plain_pool(settings))
    with closing(transport):
        for _ in range(2):
            sys.stdout.write(f"{transport.send(INCR)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
