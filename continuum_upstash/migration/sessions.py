"""A session engine that moves sessions from another engine without a logout.

    SESSION_ENGINE = "continuum_upstash.migration.sessions"
    SESSION_CACHE_ALIAS = "sessions"  # the new database
    SESSION_OLD_ENGINE = "django.contrib.sessions.backends.cached_db"
    SESSION_OLD_CACHE_ALIAS = "classic"  # of the old engine; not used by the db engine
    SESSION_ROLLOUT_ALIAS = "default"  # a MigratingCache, whose rollout selects sessions by key

A session is always in one of the two stores. The new one is read first. A session that only the old
one has is moved when it is read, if the rollout selects its key: it is stored in the new database,
then deleted in the old store. A logout while it is moved ends it in both. A new session is created
where the rollout assigns its key. Without SESSION_ROLLOUT_ALIAS, every session is moved.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar, cast

from django.conf import settings
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.core.cache import BaseCache, caches

from continuum_upstash.errors import SessionStoreUnavailable
from continuum_upstash.migration.conf import get_settings
from continuum_upstash.migration.rollout import Rollout, get_source
from continuum_upstash.plans.effects import Compute, Plan
from continuum_upstash.sessions import store
from continuum_upstash.sessions.plans import Data
from continuum_upstash.sessions.session_runner import ImproperlyConfiguredSessions

R = TypeVar("R")

_ENGINE = "continuum_upstash.migration.sessions"


class SessionStore(store.SessionStore):
    """A session in the database of SESSION_CACHE_ALIAS, or still in the old store.

    The billed commands are those of `continuum_upstash.sessions`; one more for each read of a
    session that is in the old store, those of a new session when it is moved, and one more when the
    key of a session in the old store is changed.

    Raises:
        SessionStoreUnavailable: also if the old store raises an error: the session may exist there.
    """

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self._is_async = False
        self._is_in_old_store = False

    def _run(self, plan: Plan[R]) -> R:
        self._is_async = False
        return super()._run(plan)

    async def _arun(self, plan: Plan[R]) -> R:
        self._is_async = True
        return await super()._arun(plan)

    # ---- plans

    def _exists(self, session_key: str | None) -> Plan[bool]:
        if (yield from super()._exists(session_key)):
            return True
        if session_key is None or not self._validate_session_key(session_key):
            return False
        return bool((yield from self._call_old(session_key, "exists", session_key)))

    def _create(self) -> Plan[None]:
        session_key = self._get_new_session_key()
        rollout = yield from self._read_rollout()
        if rollout is None or rollout.uses_new(session_key):
            self._is_in_old_store = False
            yield from super()._create()
            return
        data = yield from self._get_data(no_load=True)
        yield from self._call_old(session_key, "save", must_create=True, data=data)
        self._session_key = session_key
        self._is_in_old_store = self.modified = True

    def _load(self) -> Plan[Data]:
        session_key = self.session_key
        data = yield from super()._load()
        self._is_in_old_store = False
        if session_key is None or self.session_key is not None:
            return data
        self._session_key = session_key  # it stays if the old store raises an error
        old: Data | None = yield from self._load_old(session_key)
        if old is None:
            self._session_key = None
            return data
        rollout = yield from self._read_rollout()
        if rollout is not None and not rollout.uses_new(session_key):
            self._is_in_old_store = True
            return old
        storage_key = self._get_storage_key(session_key)
        if not (yield from self._plans.create(storage_key, old)):
            return (yield from super()._load())  # another request has moved it
        try:
            exists = yield from self._call_old(session_key, "exists", session_key)
        except SessionStoreUnavailable:
            yield from self._plans.delete(storage_key)
            raise
        if not exists:  # a logout has ended it since it was read: it must not come back
            yield from self._plans.delete(storage_key)
            self._session_key = None
            return {}
        yield from self._call_old(session_key, "delete", session_key)
        return (yield from super()._load())

    def _save(self, must_create: bool) -> Plan[None]:
        data = yield from self._get_data(no_load=must_create)  # finds out where the session is
        session_key = self.session_key
        if session_key is None or not self._is_in_old_store:
            yield from super()._save(must_create)
            return
        yield from self._call_old(session_key, "save", must_create=must_create, data=data)

    def _delete(self, session_key: str | None) -> Plan[None]:
        session_key = self.session_key if session_key is None else session_key
        if session_key is None or not self._validate_session_key(session_key):
            return
        try:
            # The old store first: a request that moves the session looks there once more after it
            # has stored it in the new one.
            yield from self._call_old(session_key, "delete", session_key)
        finally:
            yield from super()._delete(session_key)

    def _cycle_key(self) -> Plan[None]:
        yield from self._get_data()
        session_key = self.session_key
        if session_key is None or not self._is_in_old_store:
            yield from super()._cycle_key()
            return
        yield from self._create()
        yield from self._delete(session_key)
        self.key_rotated = True

    # ---- the old store

    def _load_old(self, session_key: str) -> Plan[Data | None]:
        """Return the data of a session in the old store; None if it is not there."""
        old = make_old_store(session_key)
        data: Data = yield Compute(self._get_call(old, "load"))
        cache = getattr(old, "_cache", None)
        if old.session_key is None and isinstance(cache, _RecordingCache) and cache.error:
            raise _translate(cache.error)  # Django's cache engine takes it for a missing session
        return None if old.session_key is None else data

    def _call_old(
        self, session_key: str, method: str, *args: Any, data: Data | None = None, **kwargs: Any
    ) -> Plan[Any]:
        old = make_old_store(session_key)
        if data is not None:
            old._session_cache = data  # type: ignore[attr-defined]  # noqa: SLF001 SessionBase's
        return (yield Compute(self._get_call(old, method, *args, **kwargs)))

    def _get_call(
        self, old: SessionBase, method: str, *args: Any, **kwargs: Any
    ) -> Callable[[], Any]:
        if not self._is_async:
            return lambda: _call(getattr(old, method), *args, **kwargs)
        return lambda: _acall(getattr(old, f"a{method}"), *args, **kwargs)

    def _read_rollout(self) -> Plan[Rollout | None]:
        alias = getattr(settings, "SESSION_ROLLOUT_ALIAS", None)
        if alias is None:
            return None
        source = get_source(get_settings(alias))
        function = source.new_cache.arun if self._is_async else source.new_cache.run
        rollout = source.current
        if rollout is None:
            rollout = yield Compute(lambda: cast("Any", function)(source.read()))
        return rollout


def make_old_store(session_key: str) -> SessionBase:
    """Return the session of a key in the store of SESSION_OLD_ENGINE.

    Raises:
        ImproperlyConfiguredSessions: SESSION_OLD_ENGINE is missing, or an engine of this package.
    """
    engine = getattr(settings, "SESSION_OLD_ENGINE", None)
    if engine is None or engine == _ENGINE:
        raise ImproperlyConfiguredSessions(
            f"SESSION_ENGINE is {_ENGINE}: set SESSION_OLD_ENGINE to the engine that the site has "
            "used before, for example django.contrib.sessions.backends.cached_db."
        )
    old: SessionBase = import_module(engine).SessionStore(session_key)
    alias = getattr(settings, "SESSION_OLD_CACHE_ALIAS", None)
    if alias is not None and hasattr(old, "_cache"):
        # The cache engines of Django read SESSION_CACHE_ALIAS, which names the new database.
        old._cache = _RecordingCache(caches[alias])  # noqa: SLF001
    return old


class _RecordingCache:
    """Passes calls to a cache, and records the error of a read.

    Attributes:
        error: the error of the last read that raised one.
    """

    def __init__(self, cache: BaseCache) -> None:
        self._cache = cache
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def __contains__(self, key: str) -> bool:
        return key in self._cache

    def get(self, key: str) -> Any:
        try:
            return self._cache.get(key)
        except Exception as error:
            self.error = error
            raise

    async def aget(self, key: str) -> Any:
        try:
            return await self._cache.aget(key)
        except Exception as error:
            self.error = error
            raise


def _call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except (CreateError, UpdateError):
        raise
    except Exception as error:
        raise _translate(error) from error


async def _acall(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return await function(*args, **kwargs)
    except (CreateError, UpdateError):
        raise
    except Exception as error:
        raise _translate(error) from error


def _translate(error: Exception) -> SessionStoreUnavailable:
    return SessionStoreUnavailable(
        f"The old session store (SESSION_OLD_ENGINE) is unavailable: {type(error).__name__}. "
        "Session cookies are kept; no user was logged out."
    )
