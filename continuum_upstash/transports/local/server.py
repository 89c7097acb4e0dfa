"""Commands about the store itself."""

from __future__ import annotations

from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.keyspace import Keyspace


def ping(_space: Keyspace) -> Reply:
    return b"PONG"


def time_(space: Keyspace) -> Reply:
    seconds, milliseconds = divmod(space.now, 1000)
    return [b"%d" % seconds, b"%d" % (milliseconds * 1000)]


def flushdb(space: Keyspace) -> Reply:
    space.clear()
    return b"OK"


def info(space: Keyspace) -> Reply:
    keys = len(space)  # removes the expired keys, before the other figures are read
    counts: dict[str, object] = {}
    if keys:
        counts["db0"] = f"keys={keys},expires={space.count_with_expiry()},avg_ttl=0"
    sections: dict[str, dict[str, object]] = {
        "Server": {"redis_version": "8.2.0", "redis_mode": "local"},
        "Memory": {
            "used_memory": space.used_bytes,
            "maxmemory": space.max_bytes,
            "maxmemory_policy": "allkeys-lru",
        },
        "Stats": {
            "expired_keys": space.expired,
            "evicted_keys": space.evicted,
            "keyspace_hits": space.hits,
            "keyspace_misses": space.misses,
        },
        "Keyspace": counts,
    }
    texts = [
        f"# {name}\r\n" + "".join(f"{field}:{value}\r\n" for field, value in fields.items())
        for name, fields in sections.items()
    ]
    return "\r\n".join(texts).encode()
