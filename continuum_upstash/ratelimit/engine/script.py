"""The limiter's one script: its command, its reply, and the same rules for the local store."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from typing import Any, Final, NamedTuple, TypeAlias, cast

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Argument, Command, Reply, Script, ScriptHash
from continuum_upstash.ratelimit.engine.algorithms import ALGORITHMS, Check, parse_newest_bucket
from continuum_upstash.ratelimit.engine.decision import Verdict
from continuum_upstash.ratelimit.engine.upstash_keys import (
    make_deny_list_key,
    make_dynamic_limit_key,
    make_events_key,
)
from continuum_upstash.ratelimit.policy import MAX_LIMIT, Policy

Counter: TypeAlias = tuple[str, str, int]  # key prefix, algorithm, window in milliseconds

_NUMBERS_PER_POLICY: Final = 5  # in the reply
_INTEGERS: Final = frozenset({int})
_BUCKET_FIELDS: Final = ("refilledAt", "tokens")
_is_dynamic_limit: Final = re.compile(rb"-?[0-9]+\.?[0-9]*").fullmatch


class Charge(NamedTuple):
    """What one policy of a request charges.

    Attributes:
        policy: the policy.
        key_prefix: the common prefix of the counter's Redis keys.
        cost: 0 reads without counting.
        limit: the policy's limit, or this process's part of it.
        shares: the number of processes among which the refill of a token bucket is divided.
        event: the event for the analytics of @upstash/ratelimit, without its result; empty: none
            is recorded.
        values: of the client, to look up in the deny list of @upstash/ratelimit.
    """

    policy: Policy
    key_prefix: str
    cost: int
    limit: int
    shares: int = 1
    event: str = ""
    values: tuple[str, ...] = ()

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
        counter = policy.algorithm, self.limit, policy.rate.window, param, self.cost
        if policy.upstash_prefix is None:
            return *counter, 0
        return *counter, 1, self.event, len(self.values), *self.values

    def build_shared_keys(self, prefix: str, now: int) -> Iterator[str]:
        """Yield the keys beside the counter that the script uses if the policy is shared.

        Args:
            prefix: the policy's upstash_prefix.
            now: Unix milliseconds; 0: by the wall clock of the process.
        """
        yield make_dynamic_limit_key(prefix)
        if self.event:
            yield make_events_key(prefix, now or int(time.time() * 1000))
        if self.values:
            yield make_deny_list_key(prefix)


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
        if charge.policy.upstash_prefix is not None:
            keys += charge.build_shared_keys(charge.policy.upstash_prefix, now)
        arguments += charge.build_arguments(now)
    if by_hash:
        return ("EVALSHA", CHECK_HASH, len(keys), *keys, *arguments)
    return ("EVAL", CHECK, len(keys), *keys, *arguments)


class ScriptResult(NamedTuple):
    """The reply of the script.

    Attributes:
        at: Unix milliseconds; never before the newest bucket of a strict counter, even if another
            process's clock created it.
        fits: whether all charges fit; then they were charged.
        verdicts: one per charge.
        denied: the charges whose client is on a deny list, each with the value that is.
    """

    at: int
    fits: bool
    verdicts: tuple[Verdict, ...]
    denied: tuple[tuple[Charge, str], ...] = ()


def is_result(charges: Sequence[Charge], reply: Reply) -> bool:
    """Return whether a reply has the form of the script's, for these charges."""
    if not isinstance(reply, list) or len(reply) != 2 + _NUMBERS_PER_POLICY * len(charges):
        return False
    if set(map(type, reply)) != _INTEGERS:
        return False
    denied = cast("list[int]", reply)[6::_NUMBERS_PER_POLICY]
    return not any(denied) or all(
        0 <= number <= len(charge.values) for charge, number in zip(charges, denied, strict=True)
    )


def parse_reply(charges: Sequence[Charge], reply: Reply) -> ScriptResult:
    """Return the result in the reply to the command of some charges."""
    numbers = cast("list[int]", reply)
    verdicts, denied, end = [], [], 2
    for charge in charges:
        start, end = end, end + _NUMBERS_PER_POLICY
        remaining, wait, reset, limit, number = numbers[start:end]
        verdicts.append(Verdict(charge.policy, remaining, wait / 1000, reset / 1000, limit))
        if number:
            denied.append((charge, charge.values[number - 1]))
    return ScriptResult(numbers[0], numbers[1] == 1, tuple(verdicts), tuple(denied))


class _PolicyArguments(NamedTuple):
    """A policy's arguments of the script, and the positions of its keys."""

    algorithm: str
    limit: int
    window: int
    param: int
    cost: int
    keys: slice  # of the counter
    dynamic_key: int | None
    has_event: bool
    has_values: bool


def _parse_arguments(arguments: Sequence[Any]) -> Iterator[_PolicyArguments]:
    """Yield each policy's arguments, as they are sent or as the server receives them."""
    start, key = 1, 0
    while start < len(arguments):
        algorithm = arguments[start]
        algorithm = algorithm.decode() if isinstance(algorithm, bytes) else algorithm
        limit, window, param, cost, is_shared = map(int, arguments[start + 1 : start + 6])
        keys = slice(key, key + (2 if algorithm == "sliding" else 1))
        start, key = start + 6, keys.stop
        dynamic_key, has_event, count = None, False, 0
        if is_shared:
            has_event, count = bool(arguments[start]), int(arguments[start + 1])
            start, dynamic_key = start + 2 + count, key
            key += 1 + has_event + (count > 0)
        yield _PolicyArguments(
            algorithm, limit, window, param, cost, keys, dynamic_key, has_event, count > 0
        )


def _run_locally(call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]) -> Reply:
    """Do the same as check.lua, with the local store, which has no deny lists and no events."""
    now = int(args[0]) or _read_time(call)
    policies = list(_parse_arguments(args))
    stored = _read_stored(call, keys, policies)
    newest_buckets = [
        parse_newest_bucket(values[0]) * each.param
        for each, (_, values) in zip(policies, stored, strict=True)
        if each.algorithm == "strict"
    ]
    latest_time = max([now, *newest_buckets])
    results = [
        ALGORITHMS[each.algorithm](
            keys[each.keys],
            values,
            Check(now, latest_time, limit, each.window, each.param, each.cost),
        )
        for each, (limit, values) in zip(policies, stored, strict=True)
    ]
    fits = all(result.wait == 0 for result in results)
    reply: list[Reply] = [latest_time, int(fits)]
    for each, (limit, _), result in zip(policies, stored, results, strict=True):
        remaining = result.remaining - (each.cost if fits else 0)
        reply += (max(0, remaining), result.wait, result.wait or result.reset, limit, 0)
        for write in result.writes if fits and each.cost else ():
            call(*write)
    return reply


def _read_stored(
    call: Callable[..., Reply], keys: Sequence[str], policies: Sequence[_PolicyArguments]
) -> list[tuple[int, Sequence[Reply]]]:
    """Return the limit that applies to each policy, and the stored values of its counter."""
    strings: Sequence[Reply] = ()
    if any(map(_reads_strings, policies)):
        strings = cast("list[Reply]", call("MGET", *keys))
    stored = []
    for each in policies:
        values = strings[each.keys]
        if each.algorithm == "token_bucket":
            values = cast("list[Reply]", call("HMGET", *keys[each.keys], *_BUCKET_FIELDS))
        dynamic = None if each.dynamic_key is None else strings[each.dynamic_key]
        stored.append((_get_dynamic_limit(dynamic, each.limit), values))
    return stored


def _reads_strings(policy: _PolicyArguments) -> bool:
    return policy.algorithm != "token_bucket" or policy.dynamic_key is not None


def _get_dynamic_limit(stored: Reply, limit: int) -> int:
    if not isinstance(stored, bytes) or not _is_dynamic_limit(stored):
        return limit
    return math.floor(min(max(float(stored), 0), MAX_LIMIT))  # 400 digits are infinite


def _read_time(call: Callable[..., Reply]) -> int:
    seconds, microseconds = cast("list[bytes]", call("TIME"))
    return int(seconds) * 1000 + int(microseconds) // 1000


def _count_billed(command: Command, reply: Reply) -> int:
    """Return the number of commands that ran inside the script; each is billed."""
    if isinstance(reply, ReplyError) and reply.code == "NOSCRIPT":
        return 0
    arguments = command[3 + int(cast("int", command[2])) :]
    policies = list(_parse_arguments(arguments))
    buckets = sum(each.algorithm == "token_bucket" for each in policies)
    billed = (arguments[0] == 0) + any(map(_reads_strings, policies)) + buckets
    billed += sum(each.has_values for each in policies)
    if not isinstance(reply, list):
        return billed
    _, fits, *numbers = cast("list[int]", reply)
    for position, each in enumerate(policies):
        _, wait, _, _, denied = numbers[position * _NUMBERS_PER_POLICY :][:_NUMBERS_PER_POLICY]
        if fits and each.cost:
            billed += 2 if each.algorithm == "token_bucket" else 1
        if each.has_event and not denied and (fits or wait):
            billed += 1
    return billed


CHECK: Final = Script(
    files(__package__).joinpath("check.lua").read_text("utf-8"), _run_locally, _count_billed
)
CHECK_HASH: Final = ScriptHash(CHECK)
