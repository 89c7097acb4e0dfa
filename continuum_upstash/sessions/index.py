"""The sessions of a user: list them, end one, end all.

    from continuum_upstash.sessions.index import active_sessions, logout_everywhere

Each function has an async version with the prefix ``a``. All raise SessionStoreUnavailable while
the session database is unavailable, with or without SESSION_FALLBACK_ENGINE. Those that take a
user raise ImproperlyConfigured if SESSION_USER_INDEX is False.

If a session is ended while one of its requests is in progress, that request receives a 400
response (SessionInterrupted) when it saves the session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.utils.module_loading import import_string

from continuum_upstash.plans.effects import Plan, call, call_many
from continuum_upstash.plans.scan import KeyScan
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.keys import (
    SESSIONS_PATTERN,
    compute_digests,
    make_index_key,
    make_redis_key,
)
from continuum_upstash.sessions.session_runner import ImproperlyConfiguredSessions, SessionRunner
from continuum_upstash.sessions.signing import verify

if TYPE_CHECKING:  # a model: this module may be imported before the apps are ready
    from django.contrib.auth.base_user import AbstractBaseUser

_MGET_SIZE: Final = 500  # sessions read by one command


@dataclass(frozen=True, slots=True)
class UserSession:
    """One session of a user.

    Attributes:
        id: identifies the session for `end_session`; a cookie cannot be derived from it.
        current: whether it is the session that was passed as `current`.
        data: a copy of the stored data.
    """

    id: str
    current: bool
    data: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionCounts:
    """The number of sessions.

    Attributes:
        sessions: all sessions, anonymous ones included.
        users: users who have a session, or whose last session expired since they were listed.
        complete: False if SCAN was stopped at the limit.
    """

    sessions: int
    users: int
    complete: bool


def active_sessions(
    user: AbstractBaseUser, current: SessionBase | None = None
) -> list[UserSession]:
    """Return the sessions in which `user` is logged in, `current` first.

    Billed: 2 commands, and 1 for each further 500 sessions; 1 more if some have expired.

    Args:
        user: the user.
        current: the session of the request, which is listed first.

    Raises:
        SessionStoreUnavailable: the session database did not reply, or rejects the command.
        ImproperlyConfiguredSessions: SESSION_USER_INDEX is False.
    """
    sessions = _UserSessions(user)
    return sessions.runner.run(sessions.list_active(current))


async def aactive_sessions(
    user: AbstractBaseUser, current: SessionBase | None = None
) -> list[UserSession]:
    """Return the sessions in which `user` is logged in; see `active_sessions`."""
    sessions = _UserSessions(user)
    return await sessions.runner.arun(sessions.list_active(current))


def end_session(user: AbstractBaseUser, session_id: str) -> bool:
    """End one session of `user`; return whether it existed.

    Billed: 3 commands in 2 round trips.

    Args:
        user: a session of another user is not ended.
        session_id: the `id` of a UserSession.

    Raises:
        SessionStoreUnavailable: the session database did not reply, or rejects the command.
        ImproperlyConfiguredSessions: SESSION_USER_INDEX is False.
    """
    sessions = _UserSessions(user)
    return sessions.runner.run(sessions.end(session_id))


async def aend_session(user: AbstractBaseUser, session_id: str) -> bool:
    """End one session of `user`; see `end_session`."""
    sessions = _UserSessions(user)
    return await sessions.runner.arun(sessions.end(session_id))


def logout_everywhere(user: AbstractBaseUser, keep: SessionBase | None = None) -> int:
    """End all sessions of `user` except `keep`; return the number of ended sessions.

    Billed: 3 commands in 2 round trips.

    Args:
        user: the user.
        keep: a session that stays, for example that of the request.

    Raises:
        SessionStoreUnavailable: the session database did not reply, or rejects the command.
        ImproperlyConfiguredSessions: SESSION_USER_INDEX is False.
    """
    sessions = _UserSessions(user)
    return sessions.runner.run(sessions.end_all(keep))


async def alogout_everywhere(user: AbstractBaseUser, keep: SessionBase | None = None) -> int:
    """End all sessions of `user` except `keep`; see `logout_everywhere`."""
    sessions = _UserSessions(user)
    return await sessions.runner.arun(sessions.end_all(keep))


def count_sessions(pages: int = 100) -> SessionCounts:
    """Count sessions and users by SCAN.

    Billed: 1 command for each 1,000 keys of the database.

    Args:
        pages: the highest number of commands.

    Raises:
        SessionStoreUnavailable: the session database did not reply, or rejects the command.
    """
    runner = SessionRunner()
    return runner.run(_count(runner.prefix, pages))


async def acount_sessions(pages: int = 100) -> SessionCounts:
    """Count sessions and users by SCAN; see `count_sessions`."""
    runner = SessionRunner()
    return await runner.arun(_count(runner.prefix, pages))


class _UserSessions:
    """Plans for the sessions of one user."""

    def __init__(self, user: AbstractBaseUser) -> None:
        if not conf.user_index:
            raise ImproperlyConfiguredSessions(
                "SESSION_USER_INDEX is False: the sessions of a user cannot be listed or ended."
            )
        self.runner = SessionRunner()
        primary_key = user._meta.pk
        assert primary_key is not None
        self._user_id: str = primary_key.value_to_string(user)
        self._index_key = make_index_key(self.runner.prefix, self._user_id)

    def list_active(self, current: SessionBase | None) -> Plan[list[UserSession]]:
        current_digests = _get_digests(current)
        serializer = import_string(settings.SESSION_SERIALIZER)
        found, ended = [], []
        members = yield from self._read_index()
        for start in range(0, len(members), _MGET_SIZE):
            digests = members[start : start + _MGET_SIZE]
            values: list[bytes | None] = yield from call("MGET", *self._make_redis_keys(digests))
            for digest, value in zip(digests, values, strict=True):
                session = None if value is None else verify(value, (digest,), serializer)
                if session is not None and session.user_id == self._user_id:
                    found.append(UserSession(digest, digest in current_digests, session.data))
                elif session is not None or value is None:
                    ended.append(digest)
        if ended:
            yield from call("ZREM", self._index_key, *ended)
        return sorted(found, key=lambda session: not session.current)

    def end(self, session_id: str) -> Plan[bool]:
        if (yield from call("ZSCORE", self._index_key, session_id)) is None:
            return False
        return bool((yield from self._delete([session_id])))

    def end_all(self, keep: SessionBase | None) -> Plan[int]:
        kept = _get_digests(keep)
        to_end = [digest for digest in (yield from self._read_index()) if digest not in kept]
        return (yield from self._delete(to_end)) if to_end else 0

    def _read_index(self) -> Plan[list[str]]:
        members: list[bytes] = yield from call("ZRANGE", self._index_key, 0, -1)
        return [member.decode("utf-8", "replace") for member in members]

    def _delete(self, digests: Sequence[str]) -> Plan[int]:
        deleted, _ = yield from call_many(
            [
                ("UNLINK", *self._make_redis_keys(digests)),
                ("ZREM", self._index_key, *digests),
            ]
        )
        return int(deleted)

    def _make_redis_keys(self, digests: Sequence[str]) -> list[str]:
        return [make_redis_key(self.runner.prefix, digest) for digest in digests]


def _count(prefix: str, pages: int) -> Plan[SessionCounts]:
    sessions, indexes = make_redis_key(prefix, ""), make_index_key(prefix, "")
    scan, keys = KeyScan(SESSIONS_PATTERN), set[str]()
    while scan.pages < pages and not scan.is_complete:
        keys.update((yield from scan.fetch_page()))
    return SessionCounts(
        sum(key.startswith(sessions) for key in keys),
        sum(key.startswith(indexes) for key in keys),
        complete=scan.is_complete,
    )


def _get_digests(session: SessionBase | None) -> tuple[str, ...]:
    session_key = None if session is None else session.session_key
    return () if session_key is None else compute_digests(session_key)
