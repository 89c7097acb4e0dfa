"""The sessions of a user: list them, end one, end all.

    from continuum_upstash.sessions.index import active_sessions, logout_everywhere

Each function has an async twin with the prefix ``a``. All need SESSION_USER_INDEX, and raise
SessionStoreUnavailable while the database cannot be asked, whatever SESSION_FALLBACK_ENGINE says.
A session that is ended while a request of its own is under way ends that request, too, with 400
(SessionInterrupted), as soon as it saves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.utils.module_loading import import_string

from continuum_upstash.keys import escape_glob
from continuum_upstash.plans.effects import Plan, call, call_many, pair
from continuum_upstash.plans.runner import arun, run
from continuum_upstash.plans.scan import KeyScan
from continuum_upstash.protocol import Command
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.index_entries import index_name
from continuum_upstash.sessions.runner import ImproperlyConfiguredSessions, SessionDatabase
from continuum_upstash.sessions.signing import digests, record_name, unseal

if TYPE_CHECKING:  # it is a model: this may be imported before the apps are ready
    from django.contrib.auth.base_user import AbstractBaseUser

R = TypeVar("R")

_AT_ONCE: Final = 500  # records in one MGET


@dataclass(frozen=True, slots=True)
class UserSession:
    """One session of a user.

    Attributes:
        id: names it to `end_session`; no cookie can be made from it.
        current: whether it is the one that was given as such.
        data: what it holds; changes to it go nowhere.
    """

    id: str
    current: bool
    data: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionCounts:
    """How many there are.

    Attributes:
        sessions: all of them, of visitors as of users.
        users: users with a session, or with one that has expired since they were last listed.
        complete: False where there were more keys than were to be looked at.
    """

    sessions: int
    users: int
    complete: bool


class _Runs:
    def __init__(self) -> None:
        self._database = SessionDatabase()
        self._prefix = self._database.prefix

    def _run(self, plan: Plan[R]) -> R:
        return run(plan, self._database.runner)

    async def _arun(self, plan: Plan[R]) -> R:
        return await arun(plan, self._database.async_runner)


class UserSessions(_Runs):
    """The sessions of one user."""

    def __init__(self, user: AbstractBaseUser) -> None:
        if not conf.user_index:
            raise ImproperlyConfiguredSessions(
                "SESSION_USER_INDEX is False: nobody knows which sessions are whose."
            )
        super().__init__()
        key = user._meta.pk  # noqa: SLF001 the documented name of a model's options
        assert key is not None
        self._user: str = key.value_to_string(user)
        self._index = index_name(self._prefix, self._user)

    def _active(self, current: SessionBase | None = None) -> Plan[list[UserSession]]:
        """Two commands, and a third where sessions have expired since the last time."""
        mine = _digests_of(current)
        serializer = import_string(settings.SESSION_SERIALIZER)
        found, dead = [], []
        members = yield from self._members()
        for start in range(0, len(members), _AT_ONCE):
            some = members[start : start + _AT_ONCE]
            raws: list[bytes | None] = yield from call("MGET", *self._names(some))
            for digest, raw in zip(some, raws, strict=True):
                record = None if raw is None else unseal(raw, (digest,), serializer)
                if record is not None and record.user == self._user:
                    found.append(UserSession(digest, digest in mine, record.data))
                elif record is not None or raw is None:
                    dead.append(digest)
        if dead:
            yield from call("ZREM", self._index, *dead)
        return sorted(found, key=lambda each: not each.current)

    active, aactive = pair(_active)

    def _end(self, session_id: str) -> Plan[bool]:
        """Three commands in two round trips."""
        if (yield from call("ZSCORE", self._index, session_id)) is None:
            return False
        return bool((yield from self._ended([session_id])))

    end, aend = pair(_end)

    def _end_all(self, keep: SessionBase | None = None) -> Plan[int]:
        """Three commands in two round trips."""
        kept = _digests_of(keep)
        doomed = [digest for digest in (yield from self._members()) if digest not in kept]
        return (yield from self._ended(doomed)) if doomed else 0

    end_all, aend_all = pair(_end_all)

    def _members(self) -> Plan[list[str]]:
        members: list[bytes] = yield from call("ZRANGE", self._index, 0, -1)
        return [member.decode() for member in members]

    def _ended(self, doomed: Sequence[str]) -> Plan[int]:
        commands: list[Command] = [
            ("UNLINK", *self._names(doomed)),
            ("ZREM", self._index, *doomed),
        ]
        deleted, _ = yield from call_many(commands)
        return int(deleted)

    def _names(self, some: Sequence[str]) -> list[str]:
        return [record_name(self._prefix, digest) for digest in some]


class _AllSessions(_Runs):
    def _count(self, pages: int) -> Plan[SessionCounts]:
        sessions, users = record_name(self._prefix, ""), index_name(self._prefix, "")
        keys, names = KeyScan(escape_glob(sessions[:-1]) + "*"), set[str]()
        while keys.pages < pages and not keys.is_complete:
            names.update((yield from keys.next_page()))
        return SessionCounts(
            sum(name.startswith(sessions) for name in names),
            sum(name.startswith(users) for name in names),
            complete=keys.is_complete,
        )

    count, acount = pair(_count)


def _digests_of(session: SessionBase | None) -> tuple[str, ...]:
    key = None if session is None else session.session_key
    return () if key is None else digests(key)


def active_sessions(
    user: AbstractBaseUser, current: SessionBase | None = None
) -> list[UserSession]:
    """Return the sessions that are signed in as `user`, the `current` one first."""
    return UserSessions(user).active(current)


async def aactive_sessions(
    user: AbstractBaseUser, current: SessionBase | None = None
) -> list[UserSession]:
    return await UserSessions(user).aactive(current)


def end_session(user: AbstractBaseUser, session_id: str) -> bool:
    """End one session of the user; return whether there was such a one."""
    return UserSessions(user).end(session_id)


async def aend_session(user: AbstractBaseUser, session_id: str) -> bool:
    return await UserSessions(user).aend(session_id)


def logout_everywhere(user: AbstractBaseUser, keep: SessionBase | None = None) -> int:
    """End all sessions of the user but the one to `keep`; return how many there were."""
    return UserSessions(user).end_all(keep)


async def alogout_everywhere(user: AbstractBaseUser, keep: SessionBase | None = None) -> int:
    return await UserSessions(user).aend_all(keep)


def count_sessions(pages: int = 100) -> SessionCounts:
    """Count by SCAN: a command for each 1,000 keys of the database, at most `pages`."""
    return _AllSessions().count(pages)


async def acount_sessions(pages: int = 100) -> SessionCounts:
    return await _AllSessions().acount(pages)
