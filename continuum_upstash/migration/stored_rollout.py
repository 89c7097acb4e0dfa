"""A rollout, its stored form, and the changes of it that would make outdated values visible."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NamedTuple

from continuum_upstash.migration.conf import (
    ImproperlyConfiguredMigration,
    Phase,
    parse_percent,
    parse_phase,
    parse_salt,
)

BUCKETS: Final = 10_000
_MAX_RECORD_BYTES: Final = 512
_FIELDS: Final = frozenset({"phase", "percent", "salt", "changed_at"})


class RolloutRefused(ImproperlyConfiguredMigration):
    """The rollout must not be changed like this, or not now; the message names the remedy."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A phase, and the share of the keys that the new cache serves in it.

    Attributes:
        phase: see `Phase`.
        percent: from 0 to 100, in steps of 0.01. In the phase ``shadow`` the share of the keys that
            are compared, in ``canary`` the share that is read from the new cache.
        salt: keys are assigned to buckets by it.
        is_shared: it is stored in the new database, so the new cache may hold values of an earlier
            phase: in the phase ``off``, writes then delete the key in the new cache.
        settled_at: the Unix second from which on all processes use it. Until then, writes in the
            phase ``new_only`` also go to the old cache, which other processes may still read.
    """

    phase: Phase
    percent: float = 0.0
    salt: str = "continuum"
    is_shared: bool = False
    settled_at: float = 0.0

    def bucket(self, key: object) -> int:
        """Return the bucket of a key, from 0 to 9,999: the same in all processes and versions.

        The key is the one that the site passes to the cache, without prefix and version; for a
        session its session key.
        """
        digest = blake2b(f"{self.salt}{key}".encode("utf-8", "surrogatepass"), digest_size=8)
        return int.from_bytes(digest.digest()) % BUCKETS

    def is_selected(self, key: object) -> bool:
        """Return whether a key belongs to the share. A larger share includes each smaller one."""
        return self.bucket(key) < self.percent * (BUCKETS // 100)

    def uses_new(self, key: object) -> bool:
        """Return whether the new cache decides what a read of the key returns."""
        if self.phase is Phase.CANARY:
            return self.is_selected(key)
        return self.phase in {Phase.NEW_PRIMARY, Phase.NEW_ONLY}

    @property
    def writes_both(self) -> bool:
        """Whether writes go to both caches."""
        if self.phase is Phase.NEW_ONLY:
            return self.settled_at > time.time()
        return self.phase is not Phase.OFF

    @property
    def reads_both(self) -> bool:
        """Whether a value that the new cache does not have is read from the old one."""
        return self.phase in {Phase.CANARY, Phase.NEW_PRIMARY}

    @property
    def deletes_on_new(self) -> bool:
        """Whether writes delete the key in the new cache: in ``off`` after another phase."""
        return self.phase is Phase.OFF and self.is_shared


class StoredRollout(NamedTuple):
    """The shared rollout.

    Attributes:
        rollout: the rollout.
        changed_at: since when the phase applies, in Unix seconds.
    """

    rollout: Rollout
    changed_at: float


def check_change(before: StoredRollout, after: StoredRollout, interval: float) -> None:
    """Check that no read returns an outdated value after a change of the rollout.

    Processes use a changed rollout up to one interval later than others, so two phases that do not
    write to both caches must not follow each other within that time.

    Args:
        before: the present rollout.
        after: the new one.
        interval: ROLLOUT_INTERVAL in seconds.

    Raises:
        RolloutRefused: a read could return an outdated value.
    """
    old, new = before.rollout.phase, after.rollout.phase
    if old is new:
        return
    age = after.changed_at - before.changed_at
    if old is Phase.NEW_ONLY:
        raise RolloutRefused(
            "The old cache has received no write since the phase new_only began: its values are "
            "outdated. Clear it first, then repeat the change with force."
        )
    if old is Phase.OFF and new is not Phase.SHADOW:
        raise RolloutRefused(
            f"The phase {new} cannot follow off: processes that still use the phase off write to "
            "the old cache only. Set the phase shadow first."
        )
    if new is Phase.NEW_ONLY and old is not Phase.NEW_PRIMARY:
        raise RolloutRefused(
            f"The phase new_only cannot follow {old}: processes that still use {old} read the old "
            "cache, which receives no more writes. Set the phase new_primary first."
        )
    if (old is Phase.SHADOW and new is not Phase.OFF) or new is Phase.NEW_ONLY:
        wait = 2 * interval - age  # a process may just be reading the rollout before
        if before.changed_at and wait > 0:
            raise RolloutRefused(
                f"The phase has been {old} for {max(age, 0):.0f} s: other processes may not use it "
                f"yet. Repeat the change in {wait:.0f} s (twice ROLLOUT_INTERVAL)."
            )


def encode_record(stored: StoredRollout) -> bytes:
    """Return the stored bytes of a shared rollout."""
    rollout = stored.rollout
    document = {
        "phase": rollout.phase.value,
        "percent": rollout.percent,
        "salt": rollout.salt,
        "changed_at": round(stored.changed_at, 3),
    }
    return json.dumps(document).encode()


def decode_record(raw: bytes) -> StoredRollout:
    """Return a shared rollout from its stored bytes.

    Raises:
        ValueError: the bytes have another form.
    """
    if len(raw) > _MAX_RECORD_BYTES:
        raise ValueError(f"it has more than {_MAX_RECORD_BYTES} bytes.")
    document = json.loads(raw)
    if not isinstance(document, dict) or document.keys() != _FIELDS:
        raise ValueError(f"it is not a JSON object with {', '.join(sorted(_FIELDS))}.")
    changed_at, percent = document["changed_at"], document["percent"]
    if {type(percent), type(changed_at)} - {int, float}:
        raise ValueError("percent and changed_at must be numbers.")
    rollout = Rollout(
        parse_phase(document["phase"]),
        parse_percent(percent),
        parse_salt(document["salt"]),
        is_shared=True,
    )
    return StoredRollout(rollout, float(changed_at))
