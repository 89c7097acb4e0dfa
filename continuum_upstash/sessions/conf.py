"""The settings of the session engine.

Each setting is read once. It is read again after a test has overridden a setting (Django's signal
``setting_changed``).
"""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from continuum_upstash.sessions.fallback.fallback_sessions import FallbackSessions
    from continuum_upstash.sessions.plans import SessionPlans

ENGINE: Final = "continuum_upstash.sessions"
_DJANGO_CACHE_ENGINE: Final = "django.contrib.sessions.backends.cache"


class SessionSettings:
    @property
    def is_active(self) -> bool:
        """Whether SESSION_ENGINE is this package's engine or one derived from it."""
        if settings.SESSION_ENGINE == ENGINE:
            return True
        try:
            store = import_module(settings.SESSION_ENGINE).SessionStore
        except (ImportError, AttributeError):
            return False  # Django itself reports an engine that cannot be imported
        return any(base.__module__ == f"{ENGINE}.store" for base in store.__mro__)

    def are_stored_in(self, alias: str) -> bool:
        """Return whether sessions are stored in the cache `alias` and nowhere else."""
        if alias != settings.SESSION_CACHE_ALIAS:
            return False
        return settings.SESSION_ENGINE == _DJANGO_CACHE_ENGINE or self.is_active

    @cached_property
    def allow_eviction(self) -> bool:
        """Whether the session database may evict keys when it is full."""
        return cast("bool", getattr(settings, "SESSION_ALLOW_EVICTION", False))

    @cached_property
    def fallback_engine(self) -> str | None:
        """The database engine that stores sessions during an outage."""
        return cast("str | None", getattr(settings, "SESSION_FALLBACK_ENGINE", None))

    @cached_property
    def merge(self) -> bool:
        """Whether a save merges its changes with those of concurrent requests."""
        return cast("bool", getattr(settings, "SESSION_MERGE", False))

    @cached_property
    def user_index(self) -> bool:
        """Whether the sessions of each user are indexed."""
        return cast("bool", getattr(settings, "SESSION_USER_INDEX", True))

    # The classes are imported by name: an option that is off imports nothing.

    @cached_property
    def plans_class(self) -> type[SessionPlans | FallbackSessions]:
        """The plans of a session store."""
        if self.fallback_engine is None:
            return self.redis_plans_class
        name = f"{ENGINE}.fallback.fallback_sessions.FallbackSessions"
        return cast("type[FallbackSessions]", import_string(name))

    @cached_property
    def redis_plans_class(self) -> type[SessionPlans]:
        """The plans of a session store that only uses the session database."""
        name = "merge.MergingSessionPlans" if self.merge else "plans.SessionPlans"
        return cast("type[SessionPlans]", import_string(f"{ENGINE}.{name}"))


conf = SessionSettings()


def _read_again(**_: Any) -> None:
    vars(conf).clear()


setting_changed.connect(_read_again)
