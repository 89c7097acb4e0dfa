"""Session plans that use a database table while the session database is unavailable.

A request that finds the session database unavailable uses the table until it ends:

- A session that was created or changed in this outage is read from the table.
- Any other session cannot be read during the outage: the visitor is anonymous until it ends and
  keeps the cookie. What the request stores is added to the session afterwards.
- A logout is stored as a row of its own.

After the outage, the rows are replayed on the session database: the rows of a session before that
session is read, other rows a few at a time.

| In the outage, a session              | leaves a row | which after the outage                    |
|---------------------------------------|--------------|-------------------------------------------|
| was created                           | CREATED      | creates the session, or updates it        |
| was changed after this object read it | REPLACED     | updates the session if it exists          |
| was changed without being read        | PATCHED      | adds the fields to the session, if any    |
| was ended, or got a lifetime of 0     | DELETED      | deletes the session                       |
| was only read                         | none         |                                           |

A process searches the table for rows before its first command and then every ten seconds. While
rows may exist, it also looks for the rows of a session before each operation on that session.
Therefore, a process that could reach the session database all the time may accept, for up to ten
seconds, a session that another process has ended in the table. A session that it does not find is
searched in the table at once: another process may have created it there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.exceptions import SessionInterrupted
from django.utils.module_loading import import_string

from continuum_upstash.errors import SessionStoreUnavailable
from continuum_upstash.plans.effects import Compute, Plan
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.fallback.fallback_table import (
    FallbackRow,
    FallbackTable,
    SessionChange,
)
from continuum_upstash.sessions.keys import StorageKey
from continuum_upstash.sessions.plans import Data
from continuum_upstash.sessions.session_runner import SessionRunner
from continuum_upstash.sessions.signing import get_user_id

R = TypeVar("R")

_SEARCH_INTERVAL: Final = 10.0  # seconds
_REPLAYED_ROWS: Final = 20  # rows of other sessions that one request replays
_MAX_ROWS: Final = 10_000  # then none is added for a session that this process has not read


class PendingRows:
    """Whether the table may have rows to replay; one object per process and session database."""

    def __init__(self) -> None:
        self.may_exist = True
        self._next_search = 0.0
        self._writes = 0

    def start_search(self) -> bool:
        """Return whether a search is due; if so, the next one is due in _SEARCH_INTERVAL."""
        now = monotonic()
        if now < self._next_search:
            return False
        self._next_search = now + _SEARCH_INTERVAL
        return True

    def record_write(self) -> None:
        self._writes += 1
        self.may_exist = True

    def search(self, find_keys: Callable[[], list[str]]) -> list[str]:
        writes, keys = self._writes, find_keys()
        if not keys and writes == self._writes:
            self.may_exist = False
        return keys


class FallbackSessions:
    """The plans of SessionPlans, with a database table as the fallback.

    Args:
        runner: of the session database.
        serializer: the class that SESSION_SERIALIZER names.
        get_ttl_ms: returns the lifetime of session data in milliseconds.
    """

    def __init__(
        self, runner: SessionRunner, serializer: Any, get_ttl_ms: Callable[[Data], int]
    ) -> None:
        self._runner, self._serializer, self._get_ttl_ms = runner, serializer, get_ttl_ms
        self._plans = conf.redis_plans_class(runner, serializer, get_ttl_ms)
        self._table = _make_table(serializer)
        self._pending = runner.database.extras.get(PendingRows)
        self._using_fallback = False

    @classmethod
    def clear_expired(cls) -> None:
        """Delete expired rows."""
        _make_table(import_string(settings.SESSION_SERIALIZER)).clear_expired()

    def load(self, key: StorageKey) -> Plan[Data | None]:
        def fallback() -> Data | None:
            row = self._table.find(key)
            if row is None:
                return {}  # the session database may have the session
            return None if row.change is SessionChange.DELETED else row.data

        data = yield from self._with_fallback(key, self._plans.load(key), fallback)
        if data is None and not self._using_fallback:
            # Another process, for which the database is unavailable, may have just created it.
            replayed: int = yield Compute(
                lambda: _run_in_orm_thread(lambda: self._replay_rows(key, search=False))
            )
            if replayed:
                data = yield from self._with_fallback(key, self._plans.load(key), fallback)
        return data

    def exists(self, key: StorageKey) -> Plan[bool]:
        def fallback() -> bool:
            row = self._table.find(key)
            return row is not None and row.change is not SessionChange.DELETED

        return (yield from self._with_fallback(key, self._plans.exists(key), fallback))

    def delete(self, key: StorageKey) -> Plan[bool]:
        def fallback() -> bool:
            return self._put_deleted(key)

        return (yield from self._with_fallback(key, self._plans.delete(key), fallback))

    def create(self, key: StorageKey, data: Data) -> Plan[bool]:
        def fallback() -> bool:
            return self._put(SessionChange.CREATED, key, data)

        return (yield from self._with_fallback(key, self._plans.create(key, data), fallback))

    def rotate_key(self, old_key: StorageKey, key: StorageKey, data: Data) -> Plan[bool]:
        def fallback() -> bool:
            row = self._table.find(old_key)
            is_deleted = row is not None and row.change is SessionChange.DELETED
            if is_deleted and get_user_id(data) is not None:
                raise SessionInterrupted("The session was ended by a concurrent request.")
            self._put_deleted(old_key)
            return self._put(SessionChange.CREATED, key, data)

        plan = self._plans.rotate_key(old_key, key, data)
        return (yield from self._with_fallback(old_key, plan, fallback))

    def update(self, key: StorageKey, data: Data) -> Plan[Data | None]:
        def fallback() -> Data | None:
            change = (
                SessionChange.REPLACED if self._plans.has_loaded(key) else SessionChange.PATCHED
            )
            return data if self._put(change, key, data) else None

        return (yield from self._with_fallback(key, self._plans.update(key, data), fallback))

    def _put(self, change: SessionChange, key: StorageKey, data: Data) -> bool:
        ttl_ms = self._get_ttl_ms(data)
        if ttl_ms <= 0:
            return self._put_deleted(key)
        if change is SessionChange.PATCHED:
            self._check_row_count(key)
        return self._table.put(FallbackRow(change, key.digests, data), ttl_ms)

    def _put_deleted(self, key: StorageKey) -> bool:
        self._check_row_count(key)
        row = FallbackRow(SessionChange.DELETED, key.digests, {})
        # A session without an expiry of its own ends by itself after this time.
        return self._table.put(row, settings.SESSION_COOKIE_AGE * 1000)

    def _check_row_count(self, key: StorageKey) -> None:
        """Limit the rows for sessions that may not exist: a cookie can be invented.

        Raises:
            SessionStoreUnavailable: there are too many rows.
        """
        is_known = self._plans.has_loaded(key) or self._table.find(key) is not None
        if not is_known and self._table.count(_MAX_ROWS) >= _MAX_ROWS:
            raise SessionStoreUnavailable(
                "The session database is unavailable, and the table of SESSION_FALLBACK_ENGINE has "
                f"{_MAX_ROWS:,} rows: no row is added for a session that could not be read."
            )

    def _with_fallback(self, key: StorageKey, plan: Plan[R], fallback: Callable[[], R]) -> Plan[R]:
        if not self._using_fallback:
            try:
                yield from self._replay_pending(key)
                return (yield from plan)
            except SessionStoreUnavailable:
                self._using_fallback = True
        result: R = yield Compute(lambda: _run_in_orm_thread(fallback))
        self._pending.record_write()
        return result

    def _replay_pending(self, key: StorageKey) -> Plan[None]:
        """Replay what was stored during an outage, the rows of this session first."""
        search = self._pending.start_search()
        if search or self._pending.may_exist:
            yield Compute(lambda: _run_in_orm_thread(lambda: self._replay_rows(key, search=search)))

    def _replay_rows(self, key: StorageKey, *, search: bool) -> int:
        """Replay the rows of a session, and others if `search` is True; return their number."""
        replayed = 0
        row_keys = self._table.list_keys(key)
        if search:
            row_keys += self._pending.search(lambda: self._table.list_all_keys(_REPLAYED_ROWS))
        for row_key in row_keys:
            with self._table.claim(row_key) as row:
                if row is not None:
                    self._runner.run(self._replay(row))
                    replayed += 1
        return replayed

    def _replay(self, row: FallbackRow) -> Plan[None]:
        key = StorageKey(self._runner.prefix, row.digests)
        plans = conf.redis_plans_class(self._runner, self._serializer, self._get_ttl_ms)
        match row.change:
            case SessionChange.DELETED:
                yield from plans.delete(key)
            case SessionChange.CREATED:
                # The database may have stored the session before the outage was noticed.
                if not (yield from plans.create(key, row.data)):
                    yield from plans.update(key, row.data)
            case SessionChange.REPLACED:
                yield from plans.update(key, row.data)
            case SessionChange.PATCHED:
                data = yield from plans.load(key)
                if data is not None:
                    yield from plans.update(key, data | row.data)


def _make_table(serializer: Any) -> FallbackTable:
    engine = conf.fallback_engine
    assert engine is not None  # this class is only chosen if it is set
    return FallbackTable(engine, serializer)


def _run_in_orm_thread(function: Callable[[], R]) -> Any:
    """Run a function that uses Django's ORM: in this thread, or as a coroutine in Django's thread.

    Django's ORM must not be used in the thread of a running event loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return function()
    return sync_to_async(function)()
