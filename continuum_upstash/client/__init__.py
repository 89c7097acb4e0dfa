"""The plain client: works without Django."""

from continuum_upstash.client.upstash_cache import AsyncUpstashCache, Backend, UpstashCache

__all__ = ["AsyncUpstashCache", "Backend", "UpstashCache"]
