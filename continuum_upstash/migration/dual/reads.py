"""The operations that read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from continuum_upstash.migration.conf import Phase
from continuum_upstash.migration.dual.access import MISSING, DualAccess, decides
from continuum_upstash.migration.dual.sides import Call, DualPlan, Side


class DualReads(DualAccess):
    """Reads of one key and of many keys."""

    def get(self, key: Any, default: Any, version: int) -> DualPlan[Any]:
        rollout = yield from self._begin()
        if decides(rollout, key) is Side.OLD:
            value = yield from self._get(Side.OLD, key, version)
            if rollout.phase is Phase.SHADOW and rollout.is_selected(key):
                found = {} if value is MISSING else {key: value}
                yield from self._compare([key], found, version)
        elif rollout.reads_both:
            value = yield from self._read_through(key, version)
        else:
            value = yield from self._get(Side.NEW, key, version)
        return default if value is MISSING else value

    def get_many(self, keys: Sequence[Any], version: int) -> DualPlan[dict[Any, Any]]:
        """At most one call for each cache, and those that copy values to the new one."""
        rollout = yield from self._begin()
        on_new = [key for key in keys if rollout.uses_new(key)]
        if rollout.phase is Phase.NEW_ONLY:
            return dict((yield from self._get_many(Side.NEW, keys, version)))
        on_old = [key for key in keys if not rollout.uses_new(key)]
        found, error = yield from self._try_get_many(Side.NEW, on_new, version)
        missing = [key for key in on_new if key not in found]
        if on_old:
            values = dict((yield from self._get_many(Side.OLD, [*on_old, *missing], version)))
        else:
            others, old_error = yield from self._try_get_many(Side.OLD, missing, version)
            if error is not None and old_error is not None:
                raise error
            values = dict(others)
        if error is None:
            yield from self._fill([key for key in missing if key in values], version)
        if rollout.phase is Phase.SHADOW:
            selected = [key for key in keys if rollout.is_selected(key)]
            yield from self._compare(selected, values, version)
        values.update(found)
        return values

    def has_key(self, key: Any, version: int) -> DualPlan[bool]:
        rollout = yield from self._begin()
        side = decides(rollout, key)
        if not self._pending.is_pending(side, key, version):
            if not (side is Side.NEW and rollout.reads_both):
                return bool((yield Call(side, "has_key", (key, version))))
            found, error = yield from self._attempt(
                Call(Side.NEW, "has_key", (key, version)), default=False
            )
            if found:
                return True
            old, old_error = yield from self._has_key_on_old(key, version)
            if error is not None and old_error is not None:
                raise error
            return old
        if side is Side.NEW and rollout.reads_both:
            return (yield from self._has_key_on_old(key, version))[0]
        return False

    def _has_key_on_old(self, key: Any, version: int) -> DualPlan[tuple[bool, Exception | None]]:
        if self._pending.is_pending(Side.OLD, key, version):
            return False, None
        call = Call(Side.OLD, "has_key", (key, version))
        return (yield from self._attempt(call, default=False))

    def _read_through(self, key: Any, version: int) -> DualPlan[Any]:
        """Return the value in the new cache, otherwise that in the old one, which is copied."""
        new_error = None
        try:
            value = yield from self._get(Side.NEW, key, version)
        except Exception as error:  # noqa: BLE001 of any kind: the old cache has the value, too
            self._counts.count_error(Side.NEW)
            value, new_error = MISSING, error
        if value is not MISSING:
            return value
        try:
            value = yield from self._get(Side.OLD, key, version)
        except Exception:  # noqa: BLE001 of any backend: the new cache decides
            self._counts.count_error(Side.OLD)
            if new_error is not None:
                raise new_error from None
            return MISSING
        if value is not MISSING and new_error is None:
            yield from self._fill([key], version)
        return value

    def _try_get_many(
        self, side: Side, keys: Sequence[Any], version: int
    ) -> DualPlan[tuple[Mapping[Any, Any], Exception | None]]:
        try:
            return (yield from self._get_many(side, keys, version)), None
        except Exception as error:  # noqa: BLE001 as in _read_through
            self._counts.count_error(side)
            return {}, error

    def _compare(self, keys: Sequence[Any], old: Mapping[Any, Any], version: int) -> DualPlan[None]:
        """Read keys from the new cache, and count the values that differ from the old ones."""
        new, error = yield from self._try_get_many(Side.NEW, keys, version)
        if error is None and keys:
            differing = [key for key in new if key not in old or not _are_equal(old[key], new[key])]
            self._counts.count(compared=len(keys), mismatches=len(differing))


def _are_equal(one: object, other: object) -> bool:
    """Return whether values are equal; those without a comparison are if their types are."""
    if type(one) is not type(other):
        return False
    try:
        return bool(one == other) or (
            type(one).__eq__ is object.__eq__ and vars(one).keys() == vars(other).keys()
        )
    except Exception:  # noqa: BLE001 the class's own code
        return False
