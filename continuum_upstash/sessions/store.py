"""Django's contract of a session store. What is sent stands in commands.py."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any, Final, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.backends.base import (
    VALID_KEY_CHARS,
    CreateError,
    SessionBase,
    UpdateError,
)
from django.utils.crypto import get_random_string
from django.utils.module_loading import import_string

from continuum_upstash.errors import SessionStoreUnavailable
from continuum_upstash.plans.effects import Plan, pair
from continuum_upstash.plans.runner import arun, run
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.fallback.fallback_sessions import FallbackSessions
from continuum_upstash.sessions.fallback.fallback_table import Table
from continuum_upstash.sessions.plans import Data, SessionCommands
from continuum_upstash.sessions.runner import SessionDatabase
from continuum_upstash.sessions.signing import Address, digests, is_session_key, salt

R = TypeVar("R")

_KEY_LENGTH: Final = 32
_KEY_TRIES: Final = 10  # a taken key has a chance of 36^-32: more tries only hide a fault


class SessionStore(SessionBase):
    """A session in the database of SESSION_CACHE_ALIAS.

    Every method that asks the database has a native async twin with the prefix ``a``.

    Attributes:
        unavailable: the last error that it raised because the database could not be asked.
        has_moved: `cycle_key` has ended the session that the visitor's cookie names.

    Raises:
        SessionStoreUnavailable: from any of them: the database could not be asked, or refused.
            The session key stays, for nobody knows whether the session is there.
    """

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self.unavailable: SessionStoreUnavailable | None = None
        self.has_moved = False

    # Most requests of many sites never look at their session: these wait until one does.

    @cached_property
    def _database(self) -> SessionDatabase:
        return SessionDatabase()

    @cached_property
    def _sessions(self) -> SessionCommands | FallbackSessions:
        make = partial(
            SessionCommands,
            self._database.prefix,
            self.serializer,
            self._lifetime,
            native=self._database.config.is_upstash,
        )
        engine = conf.fallback_engine
        if engine is None:
            return make()
        table = Table(engine, self.serializer)
        return FallbackSessions(make, table, self._database, self._lifetime)

    def _address(self, session_key: str) -> Address:
        return Address.of(self._database.prefix, session_key)

    def _run(self, plan: Plan[R]) -> R:
        try:
            return run(plan, self._database.runner)
        except SessionStoreUnavailable as error:
            self.unavailable = error
            raise

    async def _arun(self, plan: Plan[R]) -> R:
        try:
            return await arun(plan, self._database.async_runner)
        except SessionStoreUnavailable as error:
            self.unavailable = error
            raise

    @property
    def key_salt(self) -> str:
        # Django's names the class, which is SessionStore in every engine: what another one had
        # signed would be taken for ours.
        return salt(digests(self.session_key or "")[0])

    def _validate_session_key(self, key: str | None) -> bool:
        return is_session_key(key or "") is not None

    def _get_new_session_key(self) -> str:
        # Django's asks whether it is free; to store it with NX says so, too.
        return get_random_string(_KEY_LENGTH, VALID_KEY_CHARS)

    async def _aget_new_session_key(self) -> str:
        return self._get_new_session_key()

    def _lifetime(self, data: Data) -> int:
        """Return milliseconds, 0 or less for a session that has expired."""
        age = self.get_expiry_age(expiry=data.get("_session_expiry"))
        return int(age * 1000)

    def _data(self, *, no_load: bool = False) -> Plan[Data]:
        self.accessed = True
        if not hasattr(self, "_session_cache"):
            empty = self.session_key is None or no_load
            self._session_cache: Data = {} if empty else (yield from self._load())
        return self._session_cache

    def _exists(self, session_key: str | None) -> Plan[bool]:
        if session_key is None or not self._validate_session_key(session_key):
            return False
        return (yield from self._sessions.exists(self._address(session_key)))

    exists, aexists = pair(_exists)

    def _create(self) -> Plan[None]:
        data = yield from self._data(no_load=True)
        for _ in range(_KEY_TRIES):
            key = self._get_new_session_key()
            if (yield from self._sessions.insert(self._address(key), data)):
                self._session_key = key
                self.modified = True
                return
        raise RuntimeError(f"{_KEY_TRIES} random session keys in a row were taken.")

    create, acreate = pair(_create)

    def _save(self, must_create: bool = False) -> Plan[None]:
        if self.session_key is None:
            yield from self._create()
            return
        data = yield from self._data(no_load=must_create)
        if must_create:
            if not (yield from self._sessions.insert(self._address(self.session_key), data)):
                raise CreateError
            return
        if self.session_key is None:  # loading has just found that there is none
            raise UpdateError
        stored = yield from self._sessions.update(self._address(self.session_key), data)
        if stored is None:
            raise UpdateError
        self._session_cache = stored

    save, asave = pair(_save)

    def _delete(self, session_key: str | None = None) -> Plan[None]:
        key = self.session_key if session_key is None else session_key
        if key is not None and self._validate_session_key(key):
            yield from self._sessions.delete(self._address(key))

    delete, adelete = pair(_delete)

    def _load(self) -> Plan[dict[str, Any]]:
        data = None
        if self.session_key is not None:
            data = yield from self._sessions.load(self._address(self.session_key))
        if data is None:
            self._session_key = None
            return {}
        return data

    load, aload = pair(_load)

    def _cycle_key(self) -> Plan[None]:
        """Go on under a new key, with all data stored there before the old session ends.

        Raises:
            SessionInterrupted: somebody was signed in, and has logged out meanwhile.
        """
        data, old = (yield from self._data()), self.session_key
        if old is None:
            yield from self._create()
            return
        for _ in range(_KEY_TRIES):
            key = self._get_new_session_key()
            if (yield from self._sessions.succeed(self._address(old), self._address(key), data)):
                self._session_key = key
                self.modified = self.has_moved = True
                return
        raise RuntimeError(f"{_KEY_TRIES} random session keys in a row were taken.")

    cycle_key, acycle_key = pair(_cycle_key)

    @classmethod
    def clear_expired(cls) -> None:
        """Delete what SESSION_FALLBACK_ENGINE has left behind; the database needs no help."""
        if conf.fallback_engine is not None:
            Table(conf.fallback_engine, import_string(settings.SESSION_SERIALIZER)).clear_expired()

    @classmethod
    async def aclear_expired(cls) -> None:
        await sync_to_async(cls.clear_expired)()
