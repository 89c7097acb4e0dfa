"""Upstash Redis for Django: cache, sessions and rate limits over REST or TCP, sync and async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from continuum_upstash.client import AsyncUpstashCache, UpstashCache

__version__ = "0.1.0"
__all__ = ["AsyncUpstashCache", "UpstashCache", "__version__"]


def __getattr__(name: str) -> Any:
    # INSTALLED_APPS imports this module in every process: the clients are imported on first use.
    if name in {"AsyncUpstashCache", "UpstashCache"}:
        from continuum_upstash import client  # noqa: PLC0415

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
