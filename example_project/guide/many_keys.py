"""Steps 3 and 4: many commands in one round trip, and all keys that match a pattern."""

from __future__ import annotations

from typing import Any

from continuum_upstash import UpstashCache
from continuum_upstash.keys import DEFAULT_TTL_BY_PREFIX
from example_project.guide.outcome import require


def use_pipelines(prefix: str) -> dict[str, Any]:
    """Send six commands in one request; then three as one transaction."""
    stock, sold = f"{prefix}stock", f"{prefix}sold"
    with UpstashCache(name="guide") as client:
        pipeline = client.pipeline()
        pipeline.set(stock, 10, ex=60).incr(stock, -3).get(stock).incr(sold, 3).get(sold)
        pipeline.expire(sold, 60)
        results = pipeline.execute()
        transaction = client.pipeline(atomic=True)
        transaction.incr(stock, -1).incr(sold).delete(stock, sold)
        require(results[2] == 7, "the commands of a pipeline did not run in their order")
        return {"results": results, "transaction": transaction.execute()}


def use_patterns(prefix: str) -> dict[str, Any]:
    """Give keys a time to live by their pattern; list and delete the keys of one pattern."""
    ttl_by_prefix = {f"{prefix}{name}": seconds for name, seconds in DEFAULT_TTL_BY_PREFIX.items()}
    with UpstashCache(name="guide", ttl_by_prefix=ttl_by_prefix) as client:
        for number in range(3):
            client.set(f"{prefix}query:{number}", number)  # no ttl: that of the pattern
        client.set(f"{prefix}ws:room", ["Ada"])
        lives = [client.ttl(f"{prefix}query:0"), client.ttl(f"{prefix}ws:room")]
        keys = client.keys(f"{prefix}query:*")
        deleted = client.delete_pattern(f"{prefix}query:*")
        client.delete(f"{prefix}ws:room")
        require(deleted == len(keys) == 3, "not all keys of the pattern were found and deleted")
        return {"seconds to live": lives, "keys": len(keys), "deleted": deleted}
