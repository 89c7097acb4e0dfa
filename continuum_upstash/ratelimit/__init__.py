"""Rate limits for Django, counted in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from continuum_upstash.ratelimit.decorators import ratelimit
    from continuum_upstash.ratelimit.engine.decision import Decision
    from continuum_upstash.ratelimit.engine.limiter import Limiter
    from continuum_upstash.ratelimit.policy import Policy

__all__ = ["Decision", "Limiter", "Policy", "ratelimit"]

_MODULES = {
    "Decision": "engine.decision",
    "Limiter": "engine.limiter",
    "Policy": "policy",
    "ratelimit": "decorators",
}


def __getattr__(name: str) -> Any:
    # Lazy: settings may import this module before Django is set up.
    if name in _MODULES:
        from importlib import import_module  # noqa: PLC0415

        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
