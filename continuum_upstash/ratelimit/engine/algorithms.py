"""The counting algorithms as pure functions: from the stored values to a result and the writes.

They are the reference for check.lua, and the local store runs them in its place. Times are integers
in milliseconds. `Check.param` depends on the algorithm:

    strict        the width of a bucket. Never more than `limit` in any window: the window is
                  divided into buckets, and the oldest bucket is always counted as a whole.
    fixed         the start of the window. Up to twice the limit around the start of a window.
    sliding       the start of the window. The previous window counts in proportion to its overlap;
                  an estimate, the same as in @upstash/ratelimit.
    token_bucket  the tokens that each window adds; `limit` is the capacity of the bucket. The
                  same rules and the same hash as in @upstash/ratelimit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from continuum_upstash.protocol import Command, Reply

Algorithm: TypeAlias = Literal["strict", "fixed", "sliding", "token_bucket"]


class Check(NamedTuple):
    """One policy of a decision, in the numbers of its algorithm.

    Attributes:
        now: by the clock of the caller.
        latest_time: `now`, or the start of the newest bucket if that is later: another process
            with a different clock may have counted in it.
        limit: the maximum that can be charged at once.
        window: the length of a window.
        param: see the module.
        cost: 0 reads without counting.
    """

    now: int
    latest_time: int
    limit: int
    window: int
    param: int
    cost: int

    @property
    def time_left(self) -> int:
        """The time until the aligned window ends; if `now` is outside of it, its closest end."""
        return self.window - min(max(self.now - self.param, 0), self.window - 1)


class Result(NamedTuple):
    """What an algorithm returns.

    Attributes:
        wait: the time until the cost fits; 0: it fits.
        remaining: before the cost is charged; negative after the limit was lowered.
        reset: the time until more remains, if nothing is charged meanwhile.
        writes: the commands that charge the cost.
    """

    wait: int
    remaining: int
    reset: int
    writes: Sequence[Command]


def check_fixed(keys: Sequence[str], stored: Sequence[Reply], check: Check) -> Result:
    used, left = _to_int(stored[0]), check.time_left
    wait = left if used + check.cost > check.limit else 0
    write = ("SET", keys[0], used + check.cost, "PX", check.window)
    return Result(wait, check.limit - used, left, [write])


def check_sliding(keys: Sequence[str], stored: Sequence[Reply], check: Check) -> Result:
    used, previous = map(_to_int, stored)
    window, left = check.window, check.time_left
    weighted = left * previous // window
    room = check.limit - used - check.cost
    wait = 0
    if check.cost > check.limit:  # a dynamic limit can be below the cost
        wait = left
    elif room < 0:  # not before the next window, where this one is the previous window
        wait = left + max(0, window + 1 - _divide_up((check.limit - check.cost + 1) * window, used))
    elif weighted > room:
        wait = left + 1 - _divide_up((room + 1) * window, previous)
    reset = left + 1 - _divide_up(weighted * window, previous or 1)  # when the weight decreases
    write = ("SET", keys[0], used + check.cost, "PX", 2 * window + 1000)
    return Result(wait, check.limit - used - weighted, reset, [write])


def check_strict(keys: Sequence[str], stored: Sequence[Reply], check: Check) -> Result:
    """Count in buckets. Stored are the index of the newest bucket and the counts, newest first.

    Which buckets count depends only on the index, and the index never decreases. So a process
    whose clock was set back cannot drop what another process has counted.
    """
    width, span = check.param, _divide_up(check.window, check.param)
    newest, *counts = map(int, _to_text(stored[0]).split() or ("0",))
    index = check.latest_time // width
    counts = counts[: max(0, span + 1 - (index - newest))]
    used = sum(counts)

    def ms_until_freed(units: int) -> int:
        for position in range(len(counts), 0, -1):
            units -= counts[position - 1]
            if units <= 0:
                end = (newest - position + span + 2) * width
                return min(end - check.now, check.window + width)
        return (index + span + 1) * width - check.now

    excess = used + check.cost - check.limit
    state = [*([0] * (index - newest) if counts else [0]), *counts]
    state[0] += check.cost
    text = " ".join(map(str, (index, *state)))
    # A delayed check has an older time than the server: keep what it must count one second longer.
    write = ("SET", keys[0], text, "PX", check.window + width + 1000)
    wait = ms_until_freed(excess) if excess > 0 else 0
    return Result(wait, check.limit - used, ms_until_freed(1), [write])


def check_token_bucket(keys: Sequence[str], stored: Sequence[Reply], check: Check) -> Result:
    saved_at, saved_tokens = stored
    at = check.now if saved_at is None else _to_int(saved_at)
    tokens = check.limit if saved_tokens is None else _to_int(saved_tokens)
    refills = max(0, (check.now - at) // check.window)
    tokens = min(check.limit, tokens + refills * check.param)
    at += refills * check.window
    missing, rest = check.cost - tokens, tokens - check.cost
    wait = 0
    if missing > 0:
        wait = _divide_up(missing, check.param) * check.window + at - check.now
    writes: list[Command] = [
        ("HSET", keys[0], "refilledAt", at, "tokens", rest),
        ("PEXPIRE", keys[0], _divide_up(check.limit - rest, check.param) * check.window),
    ]
    return Result(wait, tokens, at + check.window - check.now, writes)


def parse_newest_bucket(stored: Reply) -> int:
    """Return the index of the newest bucket in the stored value of the strict algorithm."""
    return int((_to_text(stored).split() or ("0",))[0])


ALGORITHMS: Final[Mapping[str, Callable[[Sequence[str], Sequence[Reply], Check], Result]]] = {
    "strict": check_strict,
    "fixed": check_fixed,
    "sliding": check_sliding,
    "token_bucket": check_token_bucket,
}


def _divide_up(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def _to_int(stored: Reply) -> int:
    return int(_to_text(stored) or 0)


def _to_text(stored: Reply) -> str:
    return stored.decode() if isinstance(stored, bytes) else ""
