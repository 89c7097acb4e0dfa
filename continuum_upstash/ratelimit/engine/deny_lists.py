"""What a process knows about the deny lists of @upstash/ratelimit.

Whether a list exists is looked up once a minute: a prefix without one costs one command a minute,
not one per check. A value that is on a list is denied from memory for a minute, as in
@upstash/ratelimit.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Final

from continuum_upstash.protocol import Command, Reply
from continuum_upstash.ratelimit.engine.decision import Verdict
from continuum_upstash.ratelimit.engine.script import Charge
from continuum_upstash.ratelimit.engine.upstash_keys import make_deny_list_key

_TRUST_SECONDS: Final = 60.0
_MAX_VALUES: Final = 10_000


class DenyLists:
    """The existing lists and the denied values, both for one minute; bounded and thread-safe.

    Args:
        clock: returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._existing: dict[str, tuple[bool, float]] = {}  # by prefix, and until when it is known
        self._denied: OrderedDict[tuple[str, str], float] = OrderedDict()
        # Re-entrant: a signal handler may interrupt its own thread while it holds the lock.
        self._lock = threading.RLock()

    def find_denied(self, charges: Iterable[Charge]) -> tuple[Verdict, ...]:
        """Return the verdicts of the charges whose client is known to be on a list."""
        if not self._denied:
            return ()
        now, verdicts = self._clock(), []
        for charge in charges:
            prefix = charge.policy.upstash_prefix or ""
            ends = [self._denied.get((prefix, value), now) for value in charge.values]
            seconds = max(ends, default=now) - now
            if charge.cost and seconds > 0:
                verdicts.append(Verdict(charge.policy, 0, seconds, seconds, charge.limit))
        return tuple(verdicts)

    def drop_unneeded(self, charges: Iterable[Charge]) -> tuple[list[Charge], list[str]]:
        """Return the charges without values that need not be looked up, and unknown prefixes.

        A value need not be looked up if its list does not exist, or if nothing is charged.
        """
        now, kept, unknown = self._clock(), [], []
        for charge in charges:
            prefix = charge.policy.upstash_prefix
            if charge.values and charge.cost and prefix is not None:
                exists, until = self._existing.get(prefix, (True, now))
                if now >= until and prefix not in unknown:
                    unknown.append(prefix)
                kept.append(charge if exists or now >= until else charge._replace(values=()))
            else:
                kept.append(charge._replace(values=()) if charge.values else charge)
        return kept, unknown

    def record_existing(self, prefixes: Sequence[str], replies: Sequence[Reply]) -> None:
        """Store the replies to the commands of `build_commands`."""
        until = self._clock() + _TRUST_SECONDS
        for prefix, reply in zip(prefixes, replies, strict=True):
            self._existing[prefix] = (reply != 0, until)

    def record_denied(self, denied: Iterable[tuple[Charge, str]]) -> None:
        """Store the values that the database has found on a list."""
        until = self._clock() + _TRUST_SECONDS
        with self._lock:
            for charge, value in denied:
                key = (charge.policy.upstash_prefix or "", value)
                self._denied[key] = until
                self._denied.move_to_end(key)
                if len(self._denied) > _MAX_VALUES:
                    self._denied.popitem(last=False)


def build_commands(prefixes: Iterable[str]) -> list[Command]:
    """Return the commands that determine whether the lists of some prefixes exist."""
    return [("EXISTS", make_deny_list_key(prefix)) for prefix in prefixes]
