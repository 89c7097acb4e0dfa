"""The limiter's one script: its command, its reply, and the same rules for the local store."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from typing import Final, NamedTuple, TypeAlias, cast

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Argument, Command, Reply, Script, ScriptHash
from continuum_upstash.ratelimit.engine.algorithms import ALGORITHMS, Check, parse_newest_bucket
from continuum_upstash.ratelimit.engine.decision import Verdict
from continuum_upstash.ratelimit.policy import Policy

Counter: TypeAlias = tuple[str, str, int]  # key prefix, algorithm, window in milliseconds

_ARGUMENTS_PER_POLICY: Final = 5
_BUCKET_FIELDS: Final = ("refilledAt", "tokens")


class Charge(NamedTuple):
    """What one policy of a request charges.

    Attributes:
        policy: the policy.
        key_prefix: the common prefix of the counter's Redis keys.
        cost: 0 reads without counting.
        limit: the policy's limit, or this process's part of it.
        shares: the number of processes among which the refill of a token bucket is divided.
    """

    policy: Policy
    key_prefix: str
    cost: int
    limit: int
    shares: int = 1

    @property
    def counter(self) -> Counter:
        """Identifies the counter; policies of one group may share it."""
        return self.key_prefix, self.policy.algorithm, self.policy.rate.window

    def build_arguments(self, now: int) -> tuple[Argument, ...]:
        """Return the policy's arguments of the script.

        Args:
            now: Unix milliseconds.
        """
        policy, param = self.policy, self.policy.get_algorithm_param(now)
        if policy.algorithm == "token_bucket":
            param = math.ceil(param / self.shares)
        return policy.algorithm, self.limit, policy.rate.window, param, self.cost


def build_command(
    charges: Sequence[Charge], now: int, *, use_server_clock: bool, by_hash: bool
) -> Command:
    """Return the command that evaluates all charges: all are charged, or none is.

    Args:
        charges: at least one, with distinct key prefixes.
        now: Unix milliseconds; the names of window-aligned keys contain the window's number.
        use_server_clock: whether the script reads its server's time instead of `now`.
        by_hash: send EVALSHA, which fails with NOSCRIPT if the server does not know the script.
    """
    keys: list[str] = []
    arguments: list[Argument] = [0 if use_server_clock else now]
    for charge in charges:
        keys += charge.policy.build_keys(charge.key_prefix, now)
        arguments += charge.build_arguments(now)
    name, script = ("EVALSHA", CHECK_HASH) if by_hash else ("EVAL", CHECK)
    return (name, cast("Argument", script), len(keys), *keys, *arguments)


class ScriptResult(NamedTuple):
    """The reply of the script.

    Attributes:
        at: Unix milliseconds; never before the newest bucket of a strict counter, even if another
            process's clock created it.
        fits: whether all charges fit; then they were charged.
        verdicts: one per charge.
    """

    at: int
    fits: bool
    verdicts: tuple[Verdict, ...]


def is_result(charges: Sequence[Charge], reply: Reply) -> bool:
    """Return whether a reply has the form of the script's, for these charges."""
    if not isinstance(reply, list) or len(reply) != 2 + 3 * len(charges):
        return False
    return set(map(type, reply)) == {int}


def parse_reply(charges: Sequence[Charge], reply: Reply) -> ScriptResult:
    """Return the result in the reply to the command of some charges."""
    numbers = iter(cast("list[int]", reply))
    at, fits = next(numbers), next(numbers)
    verdicts = [
        Verdict(charge.policy, remaining, wait / 1000, reset / 1000)
        for charge, remaining, wait, reset in zip(charges, numbers, numbers, numbers, strict=True)
    ]
    return ScriptResult(at, fits == 1, tuple(verdicts))


class _PolicyState(NamedTuple):
    """A policy's arguments of the script, and its stored values."""

    algorithm: str
    limit: int
    window: int
    param: int
    cost: int
    keys: Sequence[str]
    stored: Sequence[Reply]


def _run_locally(call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]) -> Reply:
    """Do the same as check.lua, with the local store."""
    now = int(args[0]) or _read_time(call)
    states = list(_read_states(call, keys, args))
    newest_buckets = [
        parse_newest_bucket(each.stored[0]) * each.param
        for each in states
        if each.algorithm == "strict"
    ]
    latest_time = max([now, *newest_buckets])
    results = [
        ALGORITHMS[each.algorithm](
            each.keys,
            each.stored,
            Check(now, latest_time, each.limit, each.window, each.param, each.cost),
        )
        for each in states
    ]
    fits = all(result.wait == 0 for result in results)
    reply: list[Reply] = [latest_time, int(fits)]
    for state, result in zip(states, results, strict=True):
        remaining = result.remaining - (state.cost if fits else 0)
        reply += (max(0, remaining), result.wait, result.wait or result.reset)
        for write in result.writes if fits and state.cost else ():
            call(*write)
    return reply


def _read_states(
    call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]
) -> Iterator[_PolicyState]:
    strings: Sequence[Reply] | None = None
    position = 0
    for start in range(1, len(args), _ARGUMENTS_PER_POLICY):
        algorithm = args[start].decode()
        own_keys = keys[position : position + (2 if algorithm == "sliding" else 1)]
        stored: Sequence[Reply]
        if algorithm == "token_bucket":
            stored = cast("list[Reply]", call("HMGET", *own_keys, *_BUCKET_FIELDS))
        else:
            strings = strings or cast("list[Reply]", call("MGET", *keys))
            stored = strings[position : position + len(own_keys)]
        limit, window, param, cost = map(int, args[start + 1 : start + _ARGUMENTS_PER_POLICY])
        yield _PolicyState(algorithm, limit, window, param, cost, own_keys, stored)
        position += len(own_keys)


def _read_time(call: Callable[..., Reply]) -> int:
    seconds, microseconds = cast("list[bytes]", call("TIME"))
    return int(seconds) * 1000 + int(microseconds) // 1000


def _count_billed(command: Command, reply: Reply) -> int:
    """Return the number of commands that ran inside the script; each is billed."""
    if isinstance(reply, ReplyError) and reply.code == "NOSCRIPT":
        return 0
    keys = int(cast("int", command[2]))
    arguments = command[3 + keys :]
    algorithms = arguments[1::_ARGUMENTS_PER_POLICY]
    buckets = algorithms.count("token_bucket")
    reads = (arguments[0] == 0) + (buckets < len(algorithms)) + buckets
    fits = isinstance(reply, list) and reply[1] == 1
    costs = arguments[_ARGUMENTS_PER_POLICY::_ARGUMENTS_PER_POLICY]
    charged = [cost for cost in costs if cost != 0] if fits else []
    return reads + len(charged) + (buckets if charged else 0)


CHECK: Final = Script(
    files(__package__).joinpath("check.lua").read_text("utf-8"), _run_locally, _count_billed
)
CHECK_HASH: Final = ScriptHash(CHECK)
