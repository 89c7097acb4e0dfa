"""SESSION_MERGE: concurrent saves of one session keep each other's changes.

A save is a compare-and-set: one command on Upstash (SET IFEQ), a script on other servers. If the
session has changed since it was read, a three-way merge applies this request's changes to the
stored fields, and the save is tried again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.conditional import build_replace
from continuum_upstash.plans.effects import Plan, Sleep
from continuum_upstash.protocol import Command
from continuum_upstash.sessions.index_entries import IndexUpdate, build_index_update
from continuum_upstash.sessions.keys import StorageKey
from continuum_upstash.sessions.plans import Data, SessionPlans
from continuum_upstash.sessions.signing import SignedSession, verify

MAX_ATTEMPTS: Final = 20
_MISSING: Final = object()


class MergingSessionPlans(SessionPlans):
    """SessionPlans whose `update` merges."""

    def update(self, key: StorageKey, data: Data) -> Plan[Data | None]:
        """Store a session that was read before, merged with what was stored since.

        Two more commands for each concurrent change that was stored first. After MAX_ATTEMPTS the
        stored session is overwritten.

        Returns:
            The stored data; None if there is no such session.
        """
        base, ttl_ms = self._get_loaded(key), self._get_ttl_ms(data)
        if base is None or ttl_ms <= 0:
            return (yield from super().update(key, data))
        merged, stored = data, base
        commands: Sequence[Command]
        for attempt in range(MAX_ATTEMPTS + 1):
            index = build_index_update(key, merged, ttl_ms, stored)
            signed: bytes = yield self._encode(key, merged, index)
            if self._is_unchanged(key, signed, index):
                return merged
            if attempt < MAX_ATTEMPTS:
                commands = build_replace(key.redis_key, stored.signed, signed, "PX", ttl_ms)
            else:
                commands = (("SET", key.redis_key, signed, "PX", ttl_ms, "XX"),)
            if (yield from self._store_supported(key, commands, index, base)):
                self._remember_write(key, signed, merged, index)
                return merged
            yield backoff(attempt)
            theirs = yield from self._read(key, renew=False)
            if theirs is None:
                return None
            # The data of `base` may have been changed in place: only its bytes are as they were.
            before = verify(base.signed, (base.digest, *key.digests), self._serializer)
            assert before is not None  # it could be verified before
            merged, stored = three_way_merge(before.data, data, theirs.data), theirs
        return None

    def _store_supported(
        self, key: StorageKey, commands: Sequence[Command], index: IndexUpdate, base: SignedSession
    ) -> Plan[bool]:
        """Send the first of `commands` that the server supports; every server has the last one."""
        conditional = self._runner.conditional_commands
        for command in commands[:-1] if conditional.supported else ():
            try:
                return (yield from self._store_migrating(key, command, index, base))
            except ReplyError as error:
                if not conditional.detect_rejection(error):
                    raise
        return (yield from self._store_migrating(key, commands[-1], index, base))


def backoff(attempt: int) -> Sleep:
    """Return a random pause, up to a limit that doubles with each attempt: 1 ms to 1 s.

    A few concurrent writers are done within milliseconds, and 64 within MAX_ATTEMPTS.
    """
    max_seconds = min(0.001 * 2**attempt, 1.0)
    return Sleep(random.uniform(0, max_seconds))  # noqa: S311 jitter, not a secret


def three_way_merge(
    base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]
) -> dict[str, Any]:
    """Return `theirs` with the fields that `mine` has changed, added or removed since `base`."""
    result = dict(theirs)
    for name in base.keys() | mine.keys():
        before, after = base.get(name, _MISSING), mine.get(name, _MISSING)
        if after is _MISSING:
            result.pop(name, None)
        elif before is _MISSING or before != after:
            result[name] = after
    return result
