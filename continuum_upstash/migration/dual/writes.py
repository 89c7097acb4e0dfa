"""The operations that write. A delete always begins with the old cache, see back_fill.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from continuum_upstash.keys import escape_glob
from continuum_upstash.migration.conf import Phase
from continuum_upstash.migration.dual.access import DualAccess, decides, decides_for_all
from continuum_upstash.migration.dual.sides import Call, DualPlan, RunOnNew, Side
from continuum_upstash.migration.rollout import Rollout
from continuum_upstash.plans import scan

_FILL_ATTEMPTS: Final = 3
_NO_KWARGS: Final[Mapping[str, Any]] = MappingProxyType({})


class DualWrites(DualAccess):
    """Writes, deletes and counters."""

    def set(self, key: Any, value: Any, timeout: Any, version: int) -> DualPlan[None]:
        if _expires_now(timeout):
            yield from self.delete(key, version)
            return
        rollout = yield from self._begin()
        call = Call(decides(rollout, key), "set", (key, value, timeout, version))
        yield from self._write(rollout, call, [key], version)

    def set_many(self, data: Mapping[Any, Any], timeout: Any, version: int) -> DualPlan[list[Any]]:
        if _expires_now(timeout):
            yield from self.delete_many(list(data), version)
            return []
        rollout = yield from self._begin()
        is_on_new = bool(data) and all(rollout.uses_new(key) for key in data)
        side = Side.NEW if is_on_new else Side.OLD
        call = Call(side, "set_many", (data, timeout, version))
        return list((yield from self._write(rollout, call, list(data), version)) or ())

    def _write(
        self, rollout: Rollout, call: Call, keys: Sequence[Any], version: int
    ) -> DualPlan[Any]:
        """Write keys on the side that decides, then on the other one.

        Returns:
            What the side that decides returns.
        """
        result, error = yield from self._write_on(call, keys, version)
        if rollout.deletes_on_new:
            yield from self._delete_on(Side.NEW, keys, version)
        elif rollout.writes_both:
            other = Side.NEW if call.side is Side.OLD else Side.OLD
            yield from self._write_on(call._replace(side=other), keys, version)
        if error is not None:
            raise error
        return result

    def add(self, key: Any, value: Any, timeout: Any, version: int) -> DualPlan[bool]:
        """Store a value on both sides unless the key exists on one of them.

        While any process may use the old cache for the key, the old cache is always the first: so
        of two processes with different percentages only one stores its value.
        """
        rollout = yield from self._begin()
        call = (key, value, timeout, version)
        side = decides(rollout, key)
        if side is Side.NEW and rollout.writes_both:
            return (yield from self._add_through(call))
        added, error = yield from self._attempt(Call(side, "add", call), default=False)
        if error is not None:
            raise error
        if added and rollout.deletes_on_new:
            yield from self._delete_on(Side.NEW, [key], version)
        elif added and rollout.writes_both:
            yield from self._write_on(Call(Side.NEW, "set", call), [key], version)
        return bool(added)

    def _add_through(self, call: tuple[Any, Any, Any, int]) -> DualPlan[bool]:
        key, _, _, version = call
        is_outdated = self._pending.is_pending(Side.OLD, key, version)
        method = "set" if is_outdated else "add"
        added_to_old, old_error = yield from self._attempt(
            Call(Side.OLD, method, call), default=False
        )
        if not (added_to_old or is_outdated or old_error):
            return False
        method = "set" if self._pending.is_pending(Side.NEW, key, version) else "add"
        added, error = yield from self._attempt(Call(Side.NEW, method, call), default=False)
        added = added or (method == "set" and error is None)
        for side, failure in ((Side.OLD, old_error), (Side.NEW, error)):
            if failure is None:
                self._pending.discard(side, [(key, version)])
        if not added:  # the old cache had lost the key, or the new one did not reply
            yield from self._delete_on(Side.OLD, [key], version)
            if error is None:  # a back-fill may have read the value
                yield from self._attempt(RunOnNew(self._back_fill.drop_lease(key, version)))
        elif old_error is not None:
            self._add_pending(Side.OLD, [(key, version)])
        if error is not None:
            self._add_pending(Side.NEW, [(key, version)])
            raise error
        return added

    def touch(self, key: Any, timeout: Any, version: int) -> DualPlan[bool]:
        if _expires_now(timeout):
            return (yield from self.delete(key, version))
        return (yield from self.change_expiry("touch", (key, timeout, version), key, version))

    def change_expiry(
        self,
        method: str,
        args: tuple[Any, ...],
        key: Any,
        version: int,
        kwargs: Mapping[str, Any] = _NO_KWARGS,
    ) -> DualPlan[bool]:
        """Change the expiry of a key on both sides; return whether the key exists."""
        rollout = yield from self._begin()
        side = decides(rollout, key)
        if not rollout.writes_both:
            result = bool((yield Call(side, method, args, kwargs)))
            if rollout.deletes_on_new:
                yield from self._delete_on(Side.NEW, [key], version)
            return result
        results: dict[Side, Any] = {}
        for each in Side:  # the old cache first: a back-fill reads the expiry there
            results[each], error = yield from self._write_expiry(
                Call(each, method, args, kwargs), key, version
            )
            if error is not None and each is side:
                raise error
        if not results[Side.NEW]:
            yield from self._attempt(RunOnNew(self._back_fill.drop_lease(key, version)))
        return any(results.values()) if rollout.reads_both else bool(results[side])

    def _write_expiry(
        self, call: Call, key: Any, version: int
    ) -> DualPlan[tuple[Any, Exception | None]]:
        if self._pending.is_pending(call.side, key, version):
            return False, None
        return (yield from self._write_on(call, [key], version, default=False))

    def incr(self, key: Any, delta: int, version: int) -> DualPlan[int]:
        """Add on the side that decides.

        The old cache, if it does not decide, adds the same if it has the key. The new one, if it
        does not decide, loses the key: its copy could be outdated by an addition at the same time,
        and it gets the sum by back-fill when it decides.
        """
        rollout = yield from self._begin()
        args = (key, delta, version)
        if decides(rollout, key) is Side.OLD:
            total: int = yield Call(Side.OLD, "incr", args)
            if rollout.writes_both or rollout.deletes_on_new:
                yield from self._delete_on(Side.NEW, [key], version)
            return total
        if not rollout.reads_both:
            total = yield Call(Side.NEW, "incr", args)
        else:
            total, is_on_new = yield from self._incr_through(args)
            if not is_on_new:
                return total
        if rollout.writes_both:
            yield from self._incr_on_old(args)
        return total

    def _incr_through(self, args: tuple[Any, int, int]) -> DualPlan[tuple[int, bool]]:
        """Add in the new cache, to the value of the old one if it has none.

        Returns:
            The sum, and whether the new cache has it. Otherwise the old one has: its value cannot
            be copied, since it returns no time to live.
        """
        key, _, version = args
        for _ in range(_FILL_ATTEMPTS):
            try:
                return (yield Call(Side.NEW, "incr", args)), True
            except ValueError:
                if self._pending.is_pending(Side.OLD, key, version) or not (
                    yield Call(Side.OLD, "has_key", (key, version))
                ):
                    raise
            yield from self._fill([key], version)  # another process may do the same
        total: int = yield Call(Side.OLD, "incr", args)
        yield from self._delete_on(Side.NEW, [key], version)
        return total, False

    def _incr_on_old(self, args: tuple[Any, int, int]) -> DualPlan[None]:
        key, _, version = args
        if self._pending.is_pending(Side.OLD, key, version):
            return
        _, error = yield from self._attempt(Call(Side.OLD, "incr", args))
        if error is not None:  # it does not have the key, or its sum is outdated
            yield from self._delete_on(Side.OLD, [key], version)

    def delete(self, key: Any, version: int) -> DualPlan[bool]:
        rollout = yield from self._begin()
        side = decides(rollout, key)
        if rollout.phase is Phase.NEW_ONLY and not rollout.writes_both:
            return bool((yield Call(Side.NEW, "delete", (key, version))))
        call = Call(Side.OLD, "delete", (key, version))
        on_old, old_error = yield from self._write_on(call, [key], version, False)
        if rollout.phase is Phase.OFF and not rollout.is_shared:
            if old_error is not None:
                raise old_error
            return bool(on_old)
        on_new, new_error = yield from self._write_on(
            RunOnNew(self._back_fill.delete([key], version)), [key], version, 0
        )
        error = old_error if side is Side.OLD else new_error
        if error is not None:
            raise error
        if rollout.reads_both:
            return bool(on_old or on_new)
        return bool(on_old if side is Side.OLD else on_new)

    def delete_many(self, keys: Sequence[Any], version: int) -> DualPlan[None]:
        rollout = yield from self._begin()
        if not keys:
            return
        if rollout.phase is Phase.NEW_ONLY and not rollout.writes_both:
            yield Call(Side.NEW, "delete_many", (keys, version))
            return
        call = Call(Side.OLD, "delete_many", (keys, version))
        _, old_error = yield from self._write_on(call, keys, version)
        new_error = None
        if rollout.writes_both or rollout.deletes_on_new:
            new_error = yield from self._delete_on(Side.NEW, keys, version)
        sides = {decides(rollout, key) for key in keys}
        for side, error in ((Side.OLD, old_error), (Side.NEW, new_error)):
            if error is not None and side in sides:
                raise error

    def clear(self) -> DualPlan[None]:
        yield from self.delete_all("clear")

    def delete_all(
        self,
        method: str,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] = _NO_KWARGS,
    ) -> DualPlan[Any]:
        """Delete many keys on both sides by a method of both; return the result that decides."""
        rollout = yield from self._begin()
        if rollout.phase is Phase.NEW_ONLY and not rollout.writes_both:
            return (yield Call(Side.NEW, method, args, kwargs))
        results: dict[Side, Any] = {}
        errors: dict[Side, Exception | None] = {}
        sides = list(Side) if rollout.writes_both or rollout.deletes_on_new else [Side.OLD]
        for side in sides:
            if side is Side.NEW:  # a back-fill that has begun must store nothing
                pattern = f"{escape_glob(self._back_fill.lease_pattern)}*"
                yield from self._attempt(RunOnNew(scan.delete_keys(pattern, _is_any)))
            results[side], errors[side] = yield from self._attempt(Call(side, method, args, kwargs))
            if method == "clear" and errors[side] is None:
                self._pending.clear(side)
        if method != "delete_pattern":  # it may have deleted the whole database
            yield from self._attempt(RunOnNew(self._source.restore()))
        decisive = decides_for_all(rollout)
        error = errors[decisive]
        if error is not None:
            raise error
        return results[decisive]

    def incr_version(self, key: Any, delta: int, version: int) -> DualPlan[int]:
        rollout = yield from self._begin()
        args, side = (key, delta, version), decides(rollout, key)
        if side is Side.NEW and rollout.reads_both:
            try:
                result: int = yield Call(Side.NEW, "incr_version", args)
            except ValueError:
                if not (yield from self._fill([key], version)):
                    raise
                result = yield Call(Side.NEW, "incr_version", args)
        else:
            result = yield Call(side, "incr_version", args)
        if side is Side.OLD and (rollout.writes_both or rollout.deletes_on_new):
            for each in (version, result):
                yield from self._delete_on(Side.NEW, [key], each)
        elif rollout.writes_both:
            _, error = yield from self._attempt(Call(Side.OLD, "incr_version", args))
            if error is not None:
                for each in (version, result):
                    yield from self._delete_on(Side.OLD, [key], each)
        return result


def _expires_now(timeout: Any) -> bool:
    return isinstance(timeout, (int, float)) and timeout <= 0


def _is_any(_name: str) -> bool:
    return True
