"""Steps 1 and 2: is the database there, and the operations of every day."""

from __future__ import annotations

from typing import Any

from continuum_upstash import UpstashCache
from example_project.guide.outcome import require

NO_CREDENTIALS = (
    "the environment has no credentials. A shell passes on only variables that are exported, and "
    "those of a plain `source .env` are not: use `set -a; source .env; set +a`"
)


def check_connection(prefix: str) -> dict[str, Any]:
    """Write a value, read it back, and see which backend has served it."""
    with UpstashCache(name="guide") as client:
        is_configured = client.current_backend.value != "local"  # no call was made yet
        require(is_configured, f"not connected: {NO_CREDENTIALS}")
        key = f"{prefix}connection"
        client.set(key, "hello", ttl=60)
        value = client.get(key)
        # The breaker opens after three failures. One is enough to see that there is no connection.
        if client.current_backend.value.startswith("upstash") and client.status.failures == 0:
            client.delete(key)
        else:
            # The local store has served the calls, so none raised an error. This one does.
            client.reconnect()
        writes = client.status.writes  # "full" or "read_only" if the database has refused them
        require(value == "hello" and writes == "accepted", f"not stored: writes are {writes}")
        return {"backend": client.current_backend.value, "value": value}


def use_basic_operations(prefix: str) -> dict[str, Any]:
    """Set, read, count and delete values; see how long a value has to live."""
    keys = [f"{prefix}user:1", f"{prefix}user:2", f"{prefix}visits"]
    with UpstashCache(name="guide") as client:
        client.set(keys[0], {"name": "Ada", "languages": ["py", "js"]}, ttl=300)
        user = client.get(keys[0])
        seconds = client.ttl(keys[0])
        is_new = client.add(keys[1], "Bruno", ttl=300)
        visits = client.incr(keys[2], 2)  # a new counter has no expiry
        client.expire(keys[2], 300)
        found = client.get_many(keys)
        deleted = client.delete(*keys)
        require(user and deleted == len(keys), "not all values were stored")
        return {
            "user": user,
            "seconds to live": seconds,
            "added": is_new,
            "visits": visits,
            "found": len(found),
            "deleted": deleted,
            "found afterwards": client.get(keys[0], default="nothing"),
        }
