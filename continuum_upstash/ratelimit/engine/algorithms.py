"""The rules of the algorithms, pure: from what is stored to a verdict and what is to be stored.

They are the reference for scripts/check.lua, and what the local store runs in its place. Times
are whole milliseconds. `unit` is what else an algorithm needs to know:

    strict        the width of a bucket. At most `limit` in any window, wherever it begins: it
                  is cut into buckets, and the oldest one is counted whole.
    fixed         when the window began. Up to twice the limit around the border of two.
    sliding       when the window began. The window before counts by the part of it that still
                  overlaps: an estimate, by the rule of @upstash/ratelimit.
    token_bucket  how many tokens come back with each window; the limit is what the bucket
                  holds. By the rule of @upstash/ratelimit, too, and in its hash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from continuum_upstash.protocol import Command, Reply

Algorithm: TypeAlias = Literal["strict", "fixed", "sliding", "token_bucket"]


class Ask(NamedTuple):
    """One policy of a request, in the numbers of its algorithm.

    Attributes:
        now: by the clock of who asks.
        seen: the same, but never behind what another clock has counted.
    """

    now: int
    seen: int
    limit: int
    window: int
    unit: int
    cost: int

    @property
    def left(self) -> int:
        """How long an aligned window lasts; a clock that disagrees with ours is put into it."""
        return self.window - min(max(self.now - self.unit, 0), self.window - 1)


class Answer(NamedTuple):
    """
    Attributes:
        wait: until the cost fits; 0: it does.
        remaining: before the cost is paid; negative after the limit was lowered.
        reset: until more remains, if nothing is spent meanwhile.
        writes: what pays the cost.
    """

    wait: int
    remaining: int
    reset: int
    writes: Sequence[Command]


Rule: TypeAlias = Callable[[Sequence[str], Sequence[Reply], Ask], Answer]


def fixed(keys: Sequence[str], stored: Sequence[Reply], ask: Ask) -> Answer:
    used = _number(stored[0])
    wait = ask.left if used + ask.cost > ask.limit else 0
    write = ("SET", keys[0], used + ask.cost, "PX", ask.window)
    return Answer(wait, ask.limit - used, ask.left, [write])


def sliding(keys: Sequence[str], stored: Sequence[Reply], ask: Ask) -> Answer:
    used, before = map(_number, stored)
    window, left = ask.window, ask.left
    weighted = left * before // window
    room = ask.limit - used - ask.cost
    wait = 0
    if room < 0:  # not before the next window, to which this one is the window before
        wait = left + max(0, window + 1 - _ceil((ask.limit - ask.cost + 1) * window, used))
    elif weighted > room:
        wait = left + 1 - _ceil((room + 1) * window, before)
    reset = left + 1 - _ceil(weighted * window, before or 1)  # when its weight is less by one
    write = ("SET", keys[0], used + ask.cost, "PX", 2 * window + 1000)
    return Answer(wait, ask.limit - used - weighted, reset, [write])


def strict(keys: Sequence[str], stored: Sequence[Reply], ask: Ask) -> Answer:
    """Count by buckets; stored are the newest one's index and the counts from there backwards.

    What counts depends on the index alone, and that never goes back: a clock that does cannot
    forget what another one has counted.
    """
    width, span = ask.unit, _ceil(ask.window, ask.unit)
    last, *counts = map(int, _text(stored[0]).split() or ("0",))
    index = ask.seen // width
    counts = counts[: max(0, span + 1 - (index - last))]
    used = sum(counts)

    def until_gone(units: int) -> int:
        for place in range(len(counts), 0, -1):
            units -= counts[place - 1]
            if units <= 0:
                ends = (last - place + span + 2) * width
                return min(ends - ask.now, ask.window + width)
        return (index + span + 1) * width - ask.now

    over = used + ask.cost - ask.limit
    state = [*([0] * (index - last) if counts else [0]), *counts]
    state[0] += ask.cost
    text = " ".join(map(str, (index, *state)))
    # A check that was long on its way has an older time than the server: what it must not forget
    # stays for a second more.
    write = ("SET", keys[0], text, "PX", ask.window + width + 1000)
    wait = until_gone(over) if over > 0 else 0
    return Answer(wait, ask.limit - used, until_gone(1), [write])


def token_bucket(keys: Sequence[str], stored: Sequence[Reply], ask: Ask) -> Answer:
    saved_at, saved_tokens = stored
    at = ask.now if saved_at is None else _number(saved_at)
    tokens = ask.limit if saved_tokens is None else _number(saved_tokens)
    refills = max(0, (ask.now - at) // ask.window)
    tokens, at = min(ask.limit, tokens + refills * ask.unit), at + refills * ask.window
    missing, rest = ask.cost - tokens, tokens - ask.cost
    wait = _ceil(missing, ask.unit) * ask.window + at - ask.now if missing > 0 else 0
    writes: list[Command] = [
        ("HSET", keys[0], "refilledAt", at, "tokens", rest),
        ("PEXPIRE", keys[0], _ceil(ask.limit - rest, ask.unit) * ask.window),
    ]
    return Answer(wait, tokens, at + ask.window - ask.now, writes)


def newest(stored: Reply) -> int:
    """Return the index of the newest bucket of what `strict` has stored."""
    return int((_text(stored).split() or ("0",))[0])


RULES: Final[Mapping[str, Rule]] = {
    "strict": strict,
    "fixed": fixed,
    "sliding": sliding,
    "token_bucket": token_bucket,
}


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def _number(stored: Reply) -> int:
    return int(_text(stored) or 0)


def _text(stored: Reply) -> str:
    return stored.decode() if isinstance(stored, bytes) else ""
