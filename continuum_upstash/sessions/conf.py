"""The settings of the session engine, read when they are needed so that tests may override them."""

from __future__ import annotations

from importlib import import_module
from typing import Final, cast

from django.conf import settings

ENGINE: Final = "continuum_upstash.sessions"
_DJANGOS: Final = "django.contrib.sessions.backends.cache"


class Conf:
    @property
    def ours(self) -> bool:
        """Whether SESSION_ENGINE is this package's, or one that is derived from it."""
        if settings.SESSION_ENGINE == ENGINE:
            return True
        try:
            store = import_module(settings.SESSION_ENGINE).SessionStore
        except (ImportError, AttributeError):
            return False  # which stops every site
        return any(base.__module__ == f"{ENGINE}.store" for base in store.__mro__)

    def live_in(self, alias: str) -> bool:
        """Return whether an alias' database holds the sessions, and nothing else does."""
        if alias != settings.SESSION_CACHE_ALIAS:
            return False
        return settings.SESSION_ENGINE == _DJANGOS or self.ours

    @property
    def allow_eviction(self) -> bool:
        """Whether sessions may live in a database that throws keys away when it is full."""
        return cast("bool", getattr(settings, "SESSION_ALLOW_EVICTION", False))

    @property
    def fallback_engine(self) -> str | None:
        """The database engine that serves while the session database cannot."""
        return cast("str | None", getattr(settings, "SESSION_FALLBACK_ENGINE", None))

    @property
    def merge(self) -> bool:
        """Whether concurrent writers of one session keep each other's fields."""
        return cast("bool", getattr(settings, "SESSION_MERGE", False))

    @property
    def user_index(self) -> bool:
        """Whether the sessions of a user can be listed and ended."""
        return cast("bool", getattr(settings, "SESSION_USER_INDEX", True))


conf = Conf()
