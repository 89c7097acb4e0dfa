"""The methods that a cache has beyond Django's, such as those of django-redis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from continuum_upstash.migration.dual.access import decides, decides_for_all
from continuum_upstash.migration.dual.reads import DualReads
from continuum_upstash.migration.dual.sides import Call, DualPlan, Side
from continuum_upstash.migration.dual.writes import DualWrites

_EXPIRY_METHODS: Final = frozenset({"expire", "pexpire", "expire_at", "pexpire_at", "persist"})
_DELETE_METHODS: Final = frozenset({"delete_pattern", "flush_all"})
_METHODS_WITHOUT_KEY: Final = frozenset({"keys", "iter_keys", "aiter_keys", "get_client"})
_TIME_TO_LIVE_METHODS: Final = frozenset({"ttl", "pttl", "expire_time"})


class DualOperations(DualReads, DualWrites):
    """All operations of one migration."""

    def has_attribute(self, name: str) -> bool:
        """Return whether one of the caches has an attribute."""
        return hasattr(self._sides.old, name) or hasattr(self._sides.new, name)

    def is_method(self, name: str) -> bool:
        """Return whether an attribute of one of the caches is a method."""
        attribute = getattr(self._sides.new, name, None) or getattr(self._sides.old, name, None)
        return callable(attribute)

    def call_method(
        self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> DualPlan[Any]:
        """Call a method that Django's caches do not have.

        - A method that deletes many keys, or changes the expiry of a key, is called on both sides.
        - Another method is called on the side that decides for the key, its first argument, and on
          no other one. Without a key, the old cache decides until the phase ``new_primary``.

        Raises:
            AttributeError: the side has no such method.
        """
        if name in _DELETE_METHODS:
            return (yield from self.delete_all(name, args, kwargs))
        key = args[0] if args else kwargs.get("key", kwargs.get("name"))
        if name in _EXPIRY_METHODS:
            version = kwargs.get("version")
            version = self._sides.new.version if version is None else version
            return (yield from self.change_expiry(name, args, key, version, kwargs))
        rollout = yield from self._begin()
        has_key = key is not None and name not in _METHODS_WITHOUT_KEY
        side = decides(rollout, key) if has_key else decides_for_all(rollout)
        result = yield Call(side, name, args, kwargs)
        if (
            name in _TIME_TO_LIVE_METHODS
            and side is Side.NEW
            and rollout.reads_both
            and result == 0
        ):
            return (yield Call(Side.OLD, name, args, kwargs))
        return result

    def get_attribute(self, name: str) -> DualPlan[Any]:
        """Return an attribute of the side that decides."""
        rollout = yield from self._begin()
        return getattr(self._sides.get(decides_for_all(rollout)), name)
