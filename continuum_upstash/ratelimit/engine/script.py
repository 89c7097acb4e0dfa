"""The one script of the limiter, and how the charges of a request become its command."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from typing import Final, NamedTuple, TypeAlias, cast

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Argument, Command, Reply, Script, ScriptHash
from continuum_upstash.ratelimit.engine.algorithms import RULES, Ask, newest
from continuum_upstash.ratelimit.engine.decision import Verdict
from continuum_upstash.ratelimit.policy import Policy

# The storage, the algorithm and the window that a charge is counted in.
Counter: TypeAlias = tuple[str, str, int]

_PER_POLICY: Final = 5
_BUCKET_FIELDS: Final = ("refilledAt", "tokens")


class Charge(NamedTuple):
    """One policy of a request.

    Attributes:
        storage: what the names of its keys begin with.
        cost: what it is to take; 0 only looks.
        limit: the policy's, or a share of it.
        sharing: how many share what comes back to a token bucket.
    """

    policy: Policy
    storage: str
    cost: int
    limit: int
    sharing: int = 1

    @property
    def counter(self) -> Counter:
        """What it is counted in; policies of one group may share it."""
        return self.storage, self.policy.algorithm, self.policy.rate.window

    def arguments(self, now: int) -> tuple[Argument, ...]:
        """Return what the script is told of it."""
        policy, unit = self.policy, self.policy.unit(now)
        if policy.algorithm == "token_bucket":
            unit = math.ceil(unit / self.sharing)
        return policy.algorithm, self.limit, policy.rate.window, unit, self.cost


def command(charges: Sequence[Charge], now: int, *, servers_clock: bool, by_hash: bool) -> Command:
    """Return the command that decides on all charges.

    Args:
        charges: at least one; no two of them with the same storage.
        now: Unix milliseconds, which name the keys of aligned windows.
        servers_clock: let the script ask its server for the time.
        by_hash: the server may know the script already.
    """
    keys: list[str] = []
    arguments: list[Argument] = [0 if servers_clock else now]
    for charge in charges:
        keys += charge.policy.keys(charge.storage, now)
        arguments += charge.arguments(now)
    name, script = ("EVALSHA", CHECK_HASH) if by_hash else ("EVAL", CHECK)
    return (name, cast("Argument", script), len(keys), *keys, *arguments)


class Answers(NamedTuple):
    """What the script says of charges.

    Attributes:
        at: Unix milliseconds; never behind the bucket of an earlier strict charge, whoever's
            clock it was.
        fits: whether all of them do; then they were charged.
    """

    at: int
    fits: bool
    verdicts: tuple[Verdict, ...]


def read(charges: Sequence[Charge], reply: Reply) -> Answers:
    """Return what a reply says of the charges that its command had."""
    numbers = iter(cast("list[int]", reply))
    at, fits = next(numbers), next(numbers)
    verdicts = [
        Verdict(charge.policy, remaining, wait / 1000, reset / 1000)
        for charge, remaining, wait, reset in zip(charges, numbers, numbers, numbers, strict=True)
    ]
    return Answers(at, fits == 1, tuple(verdicts))


class _Policy(NamedTuple):
    """A policy as the script gets it."""

    algorithm: str
    limit: int
    window: int
    unit: int
    cost: int
    keys: Sequence[str]
    stored: Sequence[Reply]


def _rule(call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]) -> Reply:
    """Do what the script does, over the local store."""
    now = int(args[0]) or _time(call)
    policies = list(_policies(call, keys, args))
    strict = [each for each in policies if each.algorithm == "strict"]
    seen = max([now, *(newest(each.stored[0]) * each.unit for each in strict)])
    answers = [
        RULES[each.algorithm](
            each.keys, each.stored, Ask(now, seen, each.limit, each.window, each.unit, each.cost)
        )
        for each in policies
    ]
    fits = all(answer.wait == 0 for answer in answers)
    reply: list[Reply] = [seen, int(fits)]
    for policy, answer in zip(policies, answers, strict=True):
        remaining = answer.remaining - (policy.cost if fits else 0)
        reply += (max(0, remaining), answer.wait, answer.wait or answer.reset)
        for write in answer.writes if fits and policy.cost else ():
            call(*write)
    return reply


def _policies(
    call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]
) -> Iterator[_Policy]:
    strings: Sequence[Reply] | None = None
    place = 0
    for start in range(1, len(args), _PER_POLICY):
        algorithm = args[start].decode()
        mine = keys[place : place + (2 if algorithm == "sliding" else 1)]
        stored: Sequence[Reply]
        if algorithm == "token_bucket":
            stored = cast("list[Reply]", call("HMGET", *mine, *_BUCKET_FIELDS))
        else:
            strings = strings or cast("list[Reply]", call("MGET", *keys))
            stored = strings[place : place + len(mine)]
        limit, window, unit, cost = map(int, args[start + 1 : start + _PER_POLICY])
        yield _Policy(algorithm, limit, window, unit, cost, mine, stored)
        place += len(mine)


def _time(call: Callable[..., Reply]) -> int:
    seconds, microseconds = cast("list[bytes]", call("TIME"))
    return int(seconds) * 1000 + int(microseconds) // 1000


def _calls(sent: Command, reply: Reply) -> int:
    """Return how many commands ran inside: each is billed."""
    if isinstance(reply, ReplyError) and reply.code == "NOSCRIPT":
        return 0
    keys = int(cast("int", sent[2]))
    arguments = sent[3 + keys :]
    algorithms = arguments[1::_PER_POLICY]
    buckets = algorithms.count("token_bucket")
    asked = (arguments[0] == 0) + (buckets < len(algorithms)) + buckets
    fits = isinstance(reply, list) and reply[1] == 1
    paid = [cost for cost in arguments[_PER_POLICY::_PER_POLICY] if cost != 0] if fits else []
    return asked + len(paid) + (buckets if paid else 0)


CHECK: Final = Script(files(__package__).joinpath("check.lua").read_text("utf-8"), _rule, _calls)
CHECK_HASH: Final = ScriptHash(CHECK)
