"""Access to both caches: which one decides, and what happens if the other one fails."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from continuum_upstash.migration.conf import MigrationSettings, Phase
from continuum_upstash.migration.dual.back_fill import BackFill
from continuum_upstash.migration.dual.sides import (
    Call,
    DualPlan,
    Effect,
    RunOnNew,
    Side,
    Sides,
    get_side,
)
from continuum_upstash.migration.dual.state import get_state
from continuum_upstash.migration.rollout import Rollout

MISSING: Final = object()


class DualAccess:
    """What the operations on both caches have in common.

    Args:
        options: the settings of the migration.
        sides: the two caches of this thread or task.
    """

    def __init__(self, options: MigrationSettings, sides: Sides) -> None:
        self._sides = sides
        state = get_state(options)
        self._state, self._source = state, state.source
        self._pending, self._counts = state.pending, state.counts
        self._back_fill = BackFill(state.key, self._sides)

    def _begin(self) -> DualPlan[Rollout]:
        """Return the rollout for one operation. First do what is due in this process."""
        rollout = self._source.current
        if rollout is None:
            rollout = yield RunOnNew(self._source.read())
        if self._state.is_due:
            yield from self._repeat_deletes()
            if self._counts.is_due():
                yield from self._attempt(RunOnNew(self._counts.write()))
        return rollout

    def _repeat_deletes(self) -> DualPlan[None]:
        if not self._pending.is_due():
            return
        for side, version, keys in self._pending.take():
            failed = yield from self._delete_on(side, keys, version)
            if failed is None:
                self._pending.report_success()

    # ---- one effect

    def _attempt(
        self, effect: Effect, default: Any = None
    ) -> DualPlan[tuple[Any, Exception | None]]:
        """Return the result of an effect and None, or `default` and its error, which is counted."""
        try:
            result = yield effect
        except Exception as error:  # noqa: BLE001 of any backend; the caller raises or drops it
            self._counts.count_error(get_side(effect))
            return default, error
        return result, None

    def _get(self, side: Side, key: Any, version: int | None) -> DualPlan[Any]:
        """Return the value of a key on one side, or MISSING. Its hit or miss is counted."""
        if self._pending.is_pending(side, key, version):
            return MISSING
        started = time.perf_counter()
        value = yield Call(side, "get", (key, MISSING, version))
        is_hit = value is not MISSING
        self._counts.count_reads(side, is_hit, not is_hit, time.perf_counter() - started)
        return value

    def _get_many(
        self, side: Side, keys: Sequence[Any], version: int | None
    ) -> DualPlan[Mapping[Any, Any]]:
        keys = [key for key in keys if not self._pending.is_pending(side, key, version)]
        if not keys:
            return {}
        started = time.perf_counter()
        values: Mapping[Any, Any] = yield Call(side, "get_many", (keys, version))
        self._counts.count_reads(
            side, len(values), len(keys) - len(values), time.perf_counter() - started
        )
        return values

    def _write_on(
        self, effect: Effect, keys: Iterable[Any], version: int | None, default: Any = None
    ) -> DualPlan[tuple[Any, Exception | None]]:
        """Write keys on one side. If it fails, their values there are outdated."""
        side = get_side(effect)
        result, error = yield from self._attempt(effect, default)
        pending = [(key, version) for key in keys]
        if error is None:
            self._pending.discard(side, pending)
        else:
            self._add_pending(side, pending)
        return result, error

    def _delete_on(
        self, side: Side, keys: Sequence[Any], version: int | None
    ) -> DualPlan[Exception | None]:
        """Delete keys on one side; return the error. A delete that failed is repeated later."""
        effect: Effect = Call(side, "delete_many", (list(keys), version))
        if side is Side.NEW:
            effect = RunOnNew(self._back_fill.delete(keys, version))
        _, error = yield from self._write_on(effect, keys, version)
        return error

    def _add_pending(self, side: Side, keys: Iterable[tuple[Any, int | None]]) -> None:
        dropped = self._pending.add(side, keys)
        if dropped:
            self._counts.count(lost_deletes=dropped)

    def _fill(self, keys: Sequence[Any], version: int | None) -> DualPlan[int]:
        """Copy values from the old cache to the new one; return how many were copied."""
        keys = [key for key in keys if not self._pending.is_pending(Side.NEW, key, version)]
        try:
            filled = yield from self._back_fill.fill(keys, version)
        except Exception:  # noqa: BLE001 as in _attempt: the read has its value already
            self._counts.count_error(Side.NEW)
            return 0
        self._counts.count(filled=filled)
        return filled


def decides(rollout: Rollout, key: Any) -> Side:
    """Return the side whose values and errors the caller gets."""
    return Side.NEW if rollout.uses_new(key) else Side.OLD


def decides_for_all(rollout: Rollout) -> Side:
    """Return the side that decides where no key is named, for a pattern, for example."""
    return Side.NEW if rollout.phase in {Phase.NEW_PRIMARY, Phase.NEW_ONLY} else Side.OLD
