"""The plain clients: they work without Django."""

from typing import TYPE_CHECKING, Any

from continuum_upstash.client.configured_client import Backend, ClientOptions
from continuum_upstash.client.upstash_cache import UpstashCache
from continuum_upstash.plans.timeouts import DEFAULT_TTL

if TYPE_CHECKING:
    from continuum_upstash.client.async_upstash_cache import AsyncUpstashCache

__all__ = ["DEFAULT_TTL", "AsyncUpstashCache", "Backend", "ClientOptions", "UpstashCache"]


def __getattr__(name: str) -> Any:
    if name == "AsyncUpstashCache":  # sync programs start faster without it
        from continuum_upstash.client.async_upstash_cache import AsyncUpstashCache  # noqa: PLC0415

        return AsyncUpstashCache
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
