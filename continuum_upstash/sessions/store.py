"""Django's session store contract; the commands of each operation are in plans.py."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from asgiref.sync import sync_to_async
from django.contrib.sessions.backends.base import (
    VALID_KEY_CHARS,
    CreateError,
    SessionBase,
    UpdateError,
)
from django.utils.crypto import get_random_string

from continuum_upstash.errors import SessionStoreUnavailable
from continuum_upstash.plans.effects import Plan
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.keys import StorageKey, compute_digests, is_session_key
from continuum_upstash.sessions.plans import Data, SessionPlans
from continuum_upstash.sessions.session_runner import SessionRunner
from continuum_upstash.sessions.signing import make_salt

if TYPE_CHECKING:
    from continuum_upstash.sessions.fallback.fallback_sessions import FallbackSessions

R = TypeVar("R")

_KEY_LENGTH: Final = 32
_MAX_KEY_ATTEMPTS: Final = 10  # a random key is taken with probability 36^-32


class SessionStore(SessionBase):
    """A session in the database of SESSION_CACHE_ALIAS.

    Each method that sends commands has an async version with the prefix ``a``.

    Attributes:
        store_error: the last SessionStoreUnavailable that a method raised.
        key_rotated: whether `cycle_key` has ended the session that the request's cookie names.

    Raises:
        SessionStoreUnavailable: any method that sends commands raises it if the database is
            unavailable or rejects the command. The session key is kept, since the session may
            still exist.
    """

    _session_cache: Data  # Django's name; missing until the data is first accessed

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self.store_error: SessionStoreUnavailable | None = None
        self.key_rotated = False

    # Many requests never access their session: what a session needs is created on first use.

    @cached_property
    def _runner(self) -> SessionRunner:
        return SessionRunner()

    @cached_property
    def _plans(self) -> SessionPlans | FallbackSessions:
        return conf.plans_class(self._runner, self.serializer, self._get_ttl_ms)

    def _run(self, plan: Plan[R]) -> R:
        try:
            return self._runner.run(plan)
        except SessionStoreUnavailable as error:
            self.store_error = error
            raise

    async def _arun(self, plan: Plan[R]) -> R:
        try:
            return await self._runner.arun(plan)
        except SessionStoreUnavailable as error:
            self.store_error = error
            raise

    # ---- Django's contract

    def exists(self, session_key: str | None) -> bool:
        """Return whether a session exists; one billed command (EXISTS)."""
        return self._run(self._exists(session_key))

    async def aexists(self, session_key: str | None) -> bool:
        """Return whether a session exists; see `exists`."""
        return await self._arun(self._exists(session_key))

    def create(self) -> None:
        """Store the data as a new session under a random session key.

        One billed command (SET NX); four more if a user is logged in.
        """
        self._run(self._create())

    async def acreate(self) -> None:
        """Store the data as a new session; see `create`."""
        await self._arun(self._create())

    def save(self, must_create: bool = False) -> None:
        """Store the data.

        One billed command (SET); four more when the session is first saved with a user, and about
        once in its lifetime.

        Args:
            must_create: create the session, and fail if its key is taken.

        Raises:
            CreateError: `must_create`, and the key is taken.
            UpdateError: the session does not exist any more.
        """
        self._run(self._save(must_create))

    async def asave(self, must_create: bool = False) -> None:
        """Store the data; see `save`."""
        await self._arun(self._save(must_create))

    def delete(self, session_key: str | None = None) -> None:
        """End a session, by default this one.

        One billed command (UNLINK); one more if the session was loaded and belongs to a user.
        """
        self._run(self._delete(session_key))

    async def adelete(self, session_key: str | None = None) -> None:
        """End a session; see `delete`."""
        await self._arun(self._delete(session_key))

    def load(self) -> dict[str, Any]:
        """Return the stored data; if the session does not exist, drop its key and return {}.

        One billed command (GET, or GETEX with SESSION_SAVE_EVERY_REQUEST).
        """
        return self._run(self._load())

    async def aload(self) -> dict[str, Any]:
        """Return the stored data; see `load`."""
        return await self._arun(self._load())

    def cycle_key(self) -> None:
        """Store the data under a new session key, and end the old session in the same step.

        Three billed commands (a script). Nine if a user is logged in, or four without the user
        index.

        Raises:
            SessionInterrupted: a user was logged in, and the old session has been ended meanwhile.
        """
        self._run(self._cycle_key())

    async def acycle_key(self) -> None:
        """Store the data under a new session key; see `cycle_key`."""
        await self._arun(self._cycle_key())

    @classmethod
    def clear_expired(cls) -> None:
        """Delete expired rows of SESSION_FALLBACK_ENGINE; Redis deletes expired keys itself."""
        conf.plans_class.clear_expired()

    @classmethod
    async def aclear_expired(cls) -> None:
        """Delete expired rows; see `clear_expired`."""
        await sync_to_async(cls.clear_expired)()

    @property
    def key_salt(self) -> str:
        # Django's salt is the same in each engine whose class is named SessionStore: sessions of
        # other engines would be accepted.
        return make_salt(compute_digests(self.session_key or "")[0])

    def _validate_session_key(self, key: str | None) -> bool:
        return is_session_key(key or "") is not None

    def _get_new_session_key(self) -> str:
        # Django's version sends a command to check that the key is free; SET NX does that as well.
        return get_random_string(_KEY_LENGTH, VALID_KEY_CHARS)

    async def _aget_new_session_key(self) -> str:
        return self._get_new_session_key()

    # ---- plans

    def _exists(self, session_key: str | None) -> Plan[bool]:
        if session_key is None or not self._validate_session_key(session_key):
            return False
        return (yield from self._plans.exists(self._get_storage_key(session_key)))

    def _create(self) -> Plan[None]:
        data = yield from self._get_data(no_load=True)
        for _ in range(_MAX_KEY_ATTEMPTS):
            session_key = self._get_new_session_key()
            if (yield from self._plans.create(self._get_storage_key(session_key), data)):
                self._session_key = session_key
                self.modified = True
                return
        raise RuntimeError(f"{_MAX_KEY_ATTEMPTS} random session keys in a row were taken.")

    def _save(self, must_create: bool) -> Plan[None]:
        if self.session_key is None:
            yield from self._create()
            return
        data = yield from self._get_data(no_load=must_create)
        session_key = self.session_key
        if session_key is None:  # loading has found no session
            raise UpdateError
        storage_key = self._get_storage_key(session_key)
        if must_create:
            if not (yield from self._plans.create(storage_key, data)):
                raise CreateError
            return
        stored = yield from self._plans.update(storage_key, data)
        if stored is None:
            raise UpdateError
        self._session_cache = stored

    def _delete(self, session_key: str | None) -> Plan[None]:
        if session_key is None:
            session_key = self.session_key
        if session_key is not None and self._validate_session_key(session_key):
            yield from self._plans.delete(self._get_storage_key(session_key))

    def _load(self) -> Plan[Data]:
        data = None
        if self.session_key is not None:
            data = yield from self._plans.load(self._get_storage_key(self.session_key))
        if data is None:
            self._session_key = None
            return {}
        return data

    def _cycle_key(self) -> Plan[None]:
        data = yield from self._get_data()
        if self.session_key is None:
            yield from self._create()
            return
        old = self._get_storage_key(self.session_key)
        for _ in range(_MAX_KEY_ATTEMPTS):
            session_key = self._get_new_session_key()
            new = self._get_storage_key(session_key)
            if (yield from self._plans.rotate_key(old, new, data)):
                self._session_key = session_key
                self.modified = self.key_rotated = True
                return
        raise RuntimeError(f"{_MAX_KEY_ATTEMPTS} random session keys in a row were taken.")

    def _get_data(self, *, no_load: bool = False) -> Plan[Data]:
        self.accessed = True
        if not hasattr(self, "_session_cache"):
            is_empty = self.session_key is None or no_load
            self._session_cache = {} if is_empty else (yield from self._load())
        return self._session_cache

    def _get_storage_key(self, session_key: str) -> StorageKey:
        return StorageKey(self._runner.prefix, compute_digests(session_key))

    def _get_ttl_ms(self, data: Data) -> int:
        """Return the lifetime in milliseconds; 0 or less: the session has expired."""
        age = self.get_expiry_age(expiry=data.get("_session_expiry"))
        return int(age * 1000)
