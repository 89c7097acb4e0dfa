"""The script that adds to an existing integer, and the errors of a sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Command, Reply, Script


def _incr_locally(call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]) -> Reply:
    return call("INCRBY", keys[0], args[0]) if call("EXISTS", keys[0]) else None


def _count_incr_commands(_: Command, reply: Reply) -> int:
    # EXISTS; INCRBY, also if it fails; GET for a sum beyond Lua's integers.
    if reply is None:
        return 1
    return 3 if isinstance(reply, bytes) else 2


def _is_sum(reply: Reply) -> bool:
    if isinstance(reply, bytes):
        return reply.removeprefix(b"-").isdigit()
    return reply is None or type(reply) is int


# Three billed commands: EVAL and two inside. There is no cheaper way that does not create a missing
# key and has no race. Lua's numbers are doubles, so a sum beyond 2^53 is read as text.
INCR_EXISTING: Final = Script(
    "if redis.call('EXISTS', KEYS[1]) == 0 then return false end\n"
    "local sum = redis.call('INCRBY', KEYS[1], ARGV[1])\n"
    "if sum > -9007199254740992 and sum < 9007199254740992 then return sum end\n"
    "return redis.call('GET', KEYS[1])",
    _incr_locally,
    _count_incr_commands,
    _is_sum,
)


def to_counter_error(error: ReplyError) -> Exception | None:
    """Return Python's error for an error reply to INCRBY, or None if there is none."""
    text = str(error)
    if "overflow" in text:
        return OverflowError("The sum does not fit 64 bits.")
    if "not an integer" in text or "not an int" in text:
        return TypeError("The value is not a 64-bit integer.")
    return None
