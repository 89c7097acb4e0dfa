"""Copies values that a read has found in the old cache only to the new one.

A value that is deleted meanwhile must stay deleted. Therefore

    1. the reader stores a random token in a lease, a key of the new database;
    2. it reads the value and its time to live in the old cache again;
    3. a script stores the value in the new cache if the lease still has the token, and the key does
       not exist.

A delete first deletes the key in the old cache, then, in one command, the key and its lease in the
new one. Either it deletes the lease before step 3, or it deletes what step 3 has stored, or the
lease is younger than the delete, and step 2 finds no value.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from continuum_upstash.migration.dual.sides import Call, DualPlan, ReadTtls, RunOnNew, Side, Sides
from continuum_upstash.plans.effects import Batch, EncodeMany, Plan, call
from continuum_upstash.protocol import Command, Reply, Script, is_integer

MAX_FILLED: Final = 100  # keys for each read, so that a read of many keys takes little longer

_LEASE_MS: Final = 10_000


def _fill_locally(call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]) -> Reply:
    if call("GET", keys[1]) != args[0]:
        return 0
    call("DEL", keys[1])
    expiry = ("PX", args[2]) if args[2] != b"0" else ()
    return 0 if call("SET", keys[0], args[1], "NX", *expiry) is None else 1


FILL: Final = Script(
    "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end\n"
    "redis.call('DEL', KEYS[2])\n"
    "local stored\n"
    "if ARGV[3] == '0' then stored = redis.call('SET', KEYS[1], ARGV[2], 'NX')\n"
    "else stored = redis.call('SET', KEYS[1], ARGV[2], 'NX', 'PX', ARGV[3]) end\n"
    "return stored and 1 or 0",
    _fill_locally,
    is_reply=is_integer,
)


class BackFill:
    """The back-fill of one migration.

    Args:
        key: of the migration, see `make_migration_key`; the keys of the leases begin with it.
        sides: the two caches.
    """

    def __init__(self, key: str, sides: Sides) -> None:
        self._leases = f"{key}:lease:"
        self._sides = sides

    @property
    def lease_pattern(self) -> str:
        """The beginning of the keys of all leases."""
        return self._leases

    def fill(self, keys: Sequence[Any], version: int | None) -> DualPlan[int]:
        """Copy values from the old cache to the new one; return how many were copied.

        Billed: 5 commands in the new database for each value. At most 100 values are copied.
        """
        if not self._sides.has_ttls or not keys:
            return 0
        keys = keys[:MAX_FILLED]
        names = {key: self._make_name(key, version) for key in keys}
        token = secrets.token_urlsafe(12)
        yield RunOnNew(self._take_leases(names.values(), token))
        values = yield Call(Side.OLD, "get_many", (list(keys), version))
        if not values:
            return 0
        ttls = yield ReadTtls(list(values), version)
        current = {
            names[key]: (value, 0 if ttls[key] is None else ttls[key])
            for key, value in values.items()
            if ttls[key] != 0  # it has expired since, or it was deleted
        }
        return (yield RunOnNew(self._store(current, token))) if current else 0

    def delete(self, keys: Sequence[Any], version: int | None) -> Plan[int]:
        """Delete keys and their leases in the new database; return how many of the keys existed.

        Billed: 2 commands.
        """
        names = [self._make_name(key, version) for key in keys]
        leases = [self._leases + name for name in names]
        replies = yield Batch([("UNLINK", *leases), ("UNLINK", *names)])
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        deleted: int = replies[1]
        return deleted

    def drop_lease(self, key: Any, version: int | None) -> Plan[None]:
        """Delete the lease of a key: a back-fill that has begun stores nothing."""
        yield from call("UNLINK", self._leases + self._make_name(key, version))

    def _make_name(self, key: Any, version: int | None) -> str:
        return self._sides.new.make_and_validate_key(key, version)

    def _take_leases(self, names: Iterable[str], token: str) -> Plan[None]:
        commands: list[Command] = [
            ("SET", self._leases + name, token, "PX", _LEASE_MS) for name in names
        ]
        for reply in (yield Batch(commands, needs_server=True)):
            if isinstance(reply, Exception):
                raise reply

    def _store(self, values: Mapping[str, tuple[Any, int]], token: str) -> Plan[int]:
        limit = self._sides.new.database.config.max_value_bytes
        encoded = yield EncodeMany([value for value, _ in values.values()])
        commands: list[Command] = [
            ("EVAL", FILL, 2, name, self._leases + name, token, data, ttl_ms)
            for (name, (_, ttl_ms)), data in zip(values.items(), encoded, strict=True)
            if limit is None or len(data) <= limit
        ]
        if not commands:
            return 0
        replies = yield Batch(commands, needs_server=True)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return sum(replies)
