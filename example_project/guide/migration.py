"""Step 7: move values from one cache to another, with a way back."""

from __future__ import annotations

from typing import Any

from django.core.cache import caches

from continuum_upstash.migration.rollout import override_rollout
from example_project.guide.outcome import require


def migrate(prefix: str) -> dict[str, Any]:
    """Write to both caches; read some keys from the new one; read all, the old one behind it.

    A site stores the phase for all processes with `write_rollout` or `manage.py cache_migrate`.
    """
    cache, old, new = caches["moving"], caches["classic"], caches["default"]
    key, only_old = f"{prefix}moved", f"{prefix}only-old"
    try:
        with override_rollout("moving", "shadow"):
            cache.set(key, "value", 300)
            both = old.get(key) == new.get(key) == "value"
        with override_rollout("moving", "canary", percent=25) as rollout:
            selected = sum(rollout.uses_new(f"user:{number}") for number in range(1000))
        with override_rollout("moving", "new_primary"):
            old.set(only_old, "old value", 300)
            value = cache.get(only_old)
            is_copied = new.get(only_old) == value
        require(both and is_copied, "a value is missing in one of the caches")
        return {
            "written to both": both,
            "of 1,000 users read from the new cache": selected,
            "value that only the old cache has": value,
            "copied to the new cache": is_copied,
        }
    finally:
        old.delete_many([key, only_old])
        new.delete_many([key, only_old])
