"""SESSION_MERGE: writers of one session that do not lose each other's fields.

A record is replaced only if it is still the one that was read: one command on Upstash (SET IFEQ),
a script elsewhere. Otherwise what this writer changed is put over what the others wrote, field by
field, and it tries again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from continuum_upstash.plans.effects import Sleep
from continuum_upstash.protocol import Command, Reply, Script

TRIES: Final = 20
_MISSING: Final = object()


def _replace_rule(call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]) -> Reply:
    if call("GET", keys[0]) != args[0]:
        return None
    return call("SET", keys[0], args[1], "PX", args[2])


def _replace_calls(_: Command, reply: Reply) -> int:
    return 1 if reply is None else 2


REPLACE: Final = Script(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end\n"
    "return redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])",
    _replace_rule,
    _replace_calls,
)


def replacing(name: str, old: bytes, new: bytes, px: int, *, native: bool) -> Command:
    """Return the command that stores `new` if `old` stands there, and else answers nil.

    A `native` server knows SET IFEQ.
    """
    if native:
        return ("SET", name, new, "IFEQ", old, "PX", px)
    return ("EVAL", REPLACE, 1, name, old, new, px)


def pause(attempt: int) -> Sleep:
    """Return how long to wait before another try: the longer, the more writers there seem to be.

    A few get through in some milliseconds, and 64 at once within the tries.
    """
    longest = min(0.001 * 2**attempt, 1.0)
    return Sleep(random.uniform(0, longest))  # noqa: S311 spreads the tries, no secret


def merged(base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Return their fields with those that I changed, added or removed since `base`."""
    result = dict(theirs)
    for name in base.keys() | mine.keys():
        before, after = base.get(name, _MISSING), mine.get(name, _MISSING)
        if after is _MISSING:
            result.pop(name, None)
        elif before is _MISSING or before != after:
            result[name] = after
    return result
