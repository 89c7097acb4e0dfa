"""SESSION_FALLBACK_ENGINE: sessions go on in a table while their database cannot be asked.

A request that finds the database away stays with the table to its end:

- A session that began, or was changed, in this outage is read from the table.
- Any other session is somewhere that nobody can look: its visitor is anonymous for now and keeps
  the cookie. What is stored for such a visitor is later added to the session.
- A logout leaves a row that says so.

When the database answers again, a session's row is carried over before the session is read there,
and others' rows bit by bit:

| In the outage a session …              | leaves a row | which on recovery …                     |
|----------------------------------------|--------------|-----------------------------------------|
| began                                  | NEW          | is inserted, or updates what is there   |
| was changed that this object had read  | WHOLE        | updates the session                     |
| was changed that nobody could read     | PART         | adds its fields to the session, if any  |
| ended, or got a lifetime of 0          | GONE         | deletes the session                     |
| was only read                          | none         |                                         |

So that a process learns of rows that others wrote, each looks for some
before its first command, after each failure, and every ten seconds: so long may a logout that only
another process had to take without the database stay unknown to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.contrib.sessions.exceptions import SessionInterrupted

from continuum_upstash.errors import SessionStoreUnavailable
from continuum_upstash.plans.effects import Compute, Plan
from continuum_upstash.plans.runner import run
from continuum_upstash.sessions.fallback.fallback_table import Kind, Row, Table
from continuum_upstash.sessions.plans import Data, SessionCommands
from continuum_upstash.sessions.runner import SessionDatabase
from continuum_upstash.sessions.signing import Address, user_of
from continuum_upstash.transports.registry import Database

R = TypeVar("R")

_LOOK_EVERY: Final = 10.0  # seconds
_CARRIED: Final = 20  # rows of others, in the request that looks
_ENDED_FOR: Final = 400 * 86_400_000  # longer than the sessions that are to stay ended


class Watch:
    """What a process knows of the rows: whether there may be any, and when to look again."""

    def __init__(self) -> None:
        self.may_hold_rows = True
        self._look_at = 0.0
        self._written = 0

    def is_due(self) -> bool:
        now = monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + _LOOK_EVERY
        return True

    def wrote(self) -> None:
        self._written += 1
        self.may_hold_rows = True

    def look(self, find: Callable[[], list[str]]) -> list[str]:
        before, found = self._written, find()
        if not found and before == self._written:
            self.may_hold_rows = False
        return found


_watches: WeakKeyDictionary[Database, Watch] = WeakKeyDictionary()


class FallbackSessions:
    """The plans of SessionCommands, with a table to fall back on.

    Args:
        make: a new SessionCommands.
        table: the rows.
        database: where sessions belong.
        lifetime: from data to the milliseconds that it is to be stored for.
    """

    def __init__(
        self,
        make: Callable[[], SessionCommands],
        table: Table,
        database: SessionDatabase,
        lifetime: Callable[[Data], int],
    ) -> None:
        self._make, self._commands = make, make()
        self._table, self._lifetime = table, lifetime
        self._runner = database.runner
        self._watch = _watches.setdefault(database.database, Watch())
        self._away = False

    def load(self, address: Address) -> Plan[Data | None]:
        def instead() -> Data | None:
            row = self._table.find(address)
            if row is None:
                return {}  # wherever it is, it is not known to be gone
            return None if row.kind is Kind.GONE else row.data

        return (yield from self._either(address, self._commands.load(address), instead))

    def exists(self, address: Address) -> Plan[bool]:
        def instead() -> bool:
            row = self._table.find(address)
            return row is not None and row.kind is not Kind.GONE

        return (yield from self._either(address, self._commands.exists(address), instead))

    def delete(self, address: Address) -> Plan[bool]:
        def instead() -> bool:
            return self._end(address)

        return (yield from self._either(address, self._commands.delete(address), instead))

    def _end(self, address: Address) -> bool:
        return self._table.put(Row(Kind.GONE, address.digests, {}), _ENDED_FOR)

    def insert(self, address: Address, data: Data) -> Plan[bool]:
        def instead() -> bool:
            return self._put(Kind.NEW, address, data)

        return (yield from self._either(address, self._commands.insert(address, data), instead))

    def succeed(self, former: Address, address: Address, data: Data) -> Plan[bool]:
        def instead() -> bool:
            row = self._table.find(former)
            if row is not None and row.kind is Kind.GONE and user_of(data) is not None:
                raise SessionInterrupted("The session was ended in a concurrent request.")
            self._end(former)
            return self._put(Kind.NEW, address, data)

        plan = self._commands.succeed(former, address, data)
        return (yield from self._either(former, plan, instead))

    def update(self, address: Address, data: Data) -> Plan[Data | None]:
        def instead() -> Data | None:
            kind = Kind.WHOLE if self._commands.knows(address) else Kind.PART
            return data if self._put(kind, address, data) else None

        return (yield from self._either(address, self._commands.update(address, data), instead))

    def _put(self, kind: Kind, address: Address, data: Data) -> bool:
        px = self._lifetime(data)
        if px <= 0:
            return self._end(address)
        return self._table.put(Row(kind, address.digests, data), px)

    def _either(self, address: Address, plan: Plan[R], instead: Callable[[], R]) -> Plan[R]:
        if not self._away:
            try:
                yield from self._catch_up(address)
                return (yield from plan)
            except SessionStoreUnavailable:
                self._away = True
        result: R = yield Compute(lambda: _in_django(instead))
        self._watch.wrote()
        return result

    def _catch_up(self, address: Address) -> Plan[None]:
        """Carry over what was stored meanwhile, this session first."""
        looks = self._watch.is_due()
        if looks or self._watch.may_hold_rows:
            yield Compute(lambda: _in_django(lambda: self._carry_over(address, looks=looks)))

    def _carry_over(self, address: Address, *, looks: bool) -> None:
        keys = self._table.keys_of(address)
        if looks:
            keys += self._watch.look(lambda: self._table.some_keys(_CARRIED))
        for key in keys:
            with self._table.taken(key) as row:
                if row is not None:
                    run(self._restored(row, address.prefix), self._runner)

    def _restored(self, row: Row, prefix: str) -> Plan[None]:
        address, commands = Address(prefix, row.digests), self._make()
        match row.kind:
            case Kind.GONE:
                yield from commands.delete(address)
            case Kind.NEW:
                # The database may have stored it before it went away.
                if not (yield from commands.insert(address, row.data)):
                    yield from commands.update(address, row.data)
            case Kind.WHOLE:
                yield from commands.update(address, row.data)
            case Kind.PART:
                data = yield from commands.load(address)
                if data is not None:
                    yield from commands.update(address, data | row.data)


def _in_django(function: Callable[[], R]) -> Any:
    """Run what asks Django's ORM: here, or as a coroutine in the thread that is made for it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return function()
    return sync_to_async(function)()
