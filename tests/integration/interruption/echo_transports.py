"""Sync transports to a server that echoes, and whether a call gets its own reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.redis.transport import RedisTransport, make_plain_pool
from continuum_upstash.transports.rest.transport import RestTransport
from tests.integration.redis.tcp_clients import config_for
from tests.integration.rest.rest_clients import config


def make(mode: str, url: str, **settings: Any) -> tuple[Any, Any, Callable[[int], bool]]:
    """Return a transport, its pool, and a function that echoes a number and checks the reply."""
    transport: Any
    if mode == "rest":
        transport = RestTransport(config(url, **settings))
        pool = transport._client._pool
    else:
        chosen = config_for(url, **settings)
        transport = RedisTransport(chosen, make_plain_pool(chosen))
        pool = transport._pool

    def echo(number: int) -> bool:
        replies = transport.send(Batch([("ECHO", str(number))]))
        return bool(replies == [b"%d" % number])

    return transport, pool, echo
