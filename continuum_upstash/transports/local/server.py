"""Commands about the store itself."""

from __future__ import annotations

from typing import Final

from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.arguments import syntax_error
from continuum_upstash.transports.local.keyspace import Keyspace

_ALL: Final = (b"all", b"default", b"everything")


def ping(_space: Keyspace, message: bytes = b"PONG") -> Reply:
    return message


def echo(_space: Keyspace, message: bytes) -> Reply:
    return message


def time_(space: Keyspace) -> Reply:
    seconds, milliseconds = divmod(space.now, 1000)
    return [b"%d" % seconds, b"%d" % (milliseconds * 1000)]


def dbsize(space: Keyspace) -> Reply:
    return len(space)


def flush(space: Keyspace, *mode: bytes) -> Reply:
    if len(mode) > 1 or (mode and mode[0].upper() not in (b"ASYNC", b"SYNC")):
        raise syntax_error()
    space.clear()
    return b"OK"


def info(space: Keyspace, *sections: bytes) -> Reply:
    everything = _sections(space)
    names = {section.lower() for section in sections}
    chosen = everything if not names or names & set(_ALL) else names & everything.keys()
    texts = [
        f"# {name.decode().capitalize()}\r\n"
        + "".join(f"{field}:{value}\r\n" for field, value in fields.items())
        for name, fields in everything.items()
        if name in chosen
    ]
    return "\r\n".join(texts).encode()


def _sections(space: Keyspace) -> dict[bytes, dict[str, object]]:
    keys = len(space)
    with_end = space.with_end()
    return {
        b"server": {"redis_version": "8.2.0", "redis_mode": "local"},
        b"memory": {
            "used_memory": space.used_bytes,
            "used_memory_human": _human(space.used_bytes),
            "maxmemory": space.max_bytes,
            "maxmemory_human": _human(space.max_bytes),
            "maxmemory_policy": "allkeys-lru",
        },
        b"stats": {
            "expired_keys": space.expired,
            "evicted_keys": space.evicted,
            "keyspace_hits": space.hits,
            "keyspace_misses": space.misses,
        },
        b"keyspace": {"db0": f"keys={keys},expires={with_end},avg_ttl=0"} if keys else {},
    }


def _human(size: float) -> str:
    """Return bytes as Redis prints them: 1024 is 1.00K."""
    if size < 1024:
        return f"{size}B"
    for unit in "KMGT":
        size /= 1024
        if size < 1024:
            return f"{size:.2f}{unit}"
    return f"{size:.2f}T"
