"""``manage.py ratelimit``: look at limits, lift them, try them, and reckon what they cost."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from math import inf
from typing import Any, Final, get_args

from django.core.management.base import BaseCommand, CommandParser

from continuum_upstash.errors import ContinuumError
from continuum_upstash.management.arguments import as_json, positive, refuse
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.algorithms import Algorithm
from continuum_upstash.ratelimit.engine.decision import Decision, Verdict
from continuum_upstash.ratelimit.engine.limiter import Limiter
from continuum_upstash.ratelimit.engine.simulate import compute_worst_case, simulate
from continuum_upstash.ratelimit.http.identity import matches_policy, parse_identity
from continuum_upstash.ratelimit.policy import Policy, parse_policy
from continuum_upstash.stats.pricing import PRICING_PLANS

_IDENTITY: Final = (
    "such as ip=203.0.113.7, user=5 or post:username=alice; one for each part of the key, as "
    "separate arguments"
)
# Where one argument holds several parts: a value may hold white space, too.
_NEXT_PART: Final = re.compile(r"\s+(?=(?:ip|user|key|(?:get|header|post):[^\s=]+)=)")


class Command(BaseCommand):
    help = (
        "Show, reset and try rate limits, and tell what one would cost. Exit code 0: done; "
        "2: unreachable, or wrong arguments."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

        def action(name: str, text: str) -> ArgumentParser:
            added: ArgumentParser = actions.add_parser(name, help=text, description=text)
            added.add_argument("--format", choices=("text", "json"), default="text", dest="form")
            return added

        status = action("status", "All policies, and what one identity has left.")
        status.add_argument("identity", nargs="*", help=_IDENTITY)
        reset = action("reset", "Give an identity its quota back.")
        reset.add_argument("policy")
        reset.add_argument("identity", nargs="+", help=_IDENTITY)
        test = action("test", "Take from a policy, as requests would.")
        test.add_argument("policy")
        test.add_argument("identity", nargs="+", help=_IDENTITY)
        test.add_argument("--times", type=positive, default=1)
        simulation = action("simulate", "What a month costs, and what passes at worst.")
        simulation.add_argument("rate", help='such as "100/m"')
        simulation.add_argument("--algorithm", choices=get_args(Algorithm), default="strict")
        simulation.add_argument("--per-second", type=_number, required=True, help="requests of all")
        simulation.add_argument("--refused", type=_percent, default=0.0, help="percent of them")

    def handle(self, *args: Any, action: str, form: str, **options: Any) -> None:  # noqa: ARG002 Django's
        actions: dict[str, Callable[..., tuple[dict[str, Any], Iterator[str]]]] = {
            "status": _status,
            "reset": _reset,
            "test": _test,
            "simulate": _simulate,
        }
        try:
            values, lines = actions[action](**options)
        except ContinuumError as error:
            refuse(str(error))
        self.stdout.write(as_json(values) if form == "json" else "\n".join(lines))


# Each action returns what it found for programs, and as lines for people.


def _status(*, identity: Sequence[str], **_: Any) -> tuple[dict[str, Any], Iterator[str]]:
    policies = conf.policies.values()
    if (
        identity
        and policies
        and not any(matches_policy(each, _parts(each, identity)) for each in policies)
    ):
        refuse(f"No policy counts by {' '.join(identity)!r}. Write an identity {_IDENTITY}.")
    found = [_policy(each, identity) for each in policies]

    def lines() -> Iterator[str]:
        if not found:
            yield "CONTINUUM_RATELIMIT has no policies."
        for each in found:
            yield (
                f"{each['name']:<20} {each['rate']:<10} {each['algorithm']:<13} "
                f"at worst {each['worst']} in its window{_left(each, identity)}"
            )

    return {"mode": conf.mode, "identity": identity, "policies": found}, lines()


def _policy(policy: Policy, identity: Sequence[str]) -> dict[str, Any]:
    remaining, parts = None, _parts(policy, identity)
    if identity and matches_policy(policy, parts) and conf.mode != "off":
        decision = Limiter().check([policy], parse_identity(policy, parts), 0)
        remaining = _verdict(decision).remaining
    return {
        "name": policy.name,
        "rate": str(policy.rate),
        "algorithm": policy.algorithm,
        "limit": policy.limit,
        "worst": compute_worst_case(policy),
        "remaining": remaining,
    }


def _parts(policy: Policy, identity: Sequence[str]) -> Sequence[str]:
    """Return the parts of an identity, which may all stand in one quoted argument."""
    if len(identity) != 1 or matches_policy(policy, identity):
        return identity
    parts = _NEXT_PART.split(identity[0].strip())
    return parts if matches_policy(policy, parts) else identity


def _who(name: str, identity: Sequence[str]) -> str:
    policy = conf.get_policy(name)
    return parse_identity(policy, _parts(policy, identity))


def _left(policy: Mapping[str, Any], identity: Sequence[str]) -> str:
    if not identity:
        return ""
    left = policy["remaining"]
    if conf.mode == "off":
        return "; counts nothing, MODE is off"
    return "; counts by something else" if left is None else f"; {left} left"


def _reset(
    *, policy: str, identity: Sequence[str], **_: Any
) -> tuple[dict[str, Any], Iterator[str]]:
    deleted = Limiter().reset([policy], _who(policy, identity))
    return {"deleted": deleted}, iter(["Reset." if deleted else "There was nothing to reset."])


def _test(
    *, policy: str, identity: Sequence[str], times: int, **_: Any
) -> tuple[dict[str, Any], Iterator[str]]:
    limiter, who = Limiter(), _who(policy, identity)
    found = [_decided(limiter.check([policy], who)) for _ in range(times)]

    def lines() -> Iterator[str]:
        for number, each in enumerate(found, 1):
            left, wait = f"{each['remaining']} left", f"again in {each['retry_after']:.3f} s"
            yield f"{number}: {each['reason']}, {left if each['allowed'] else wait}"

    return {"decisions": found}, lines()


def _decided(decision: Decision) -> Mapping[str, Any]:
    return {
        "allowed": decision.allowed,
        "reason": decision.reason,
        "remaining": _verdict(decision).remaining,
        "retry_after": decision.retry_after,
    }


def _verdict(decision: Decision) -> Verdict:
    """Return the only policy's; what a process decides by itself says nothing of the counters."""
    if decision.reason == "exempt":
        refuse("CONTINUUM_RATELIMIT has the MODE 'off': nothing is counted.")
    if decision.reason == "unavailable":
        refuse(
            f"The counters of '{conf.alias}' cannot be asked: manage.py cache_doctor "
            f"--cache {conf.alias} tells why."
        )
    return (decision.verdicts or decision.shadowed)[0]


def _simulate(
    *, rate: str, algorithm: str, per_second: float, refused: float, **_: Any
) -> tuple[dict[str, Any], Iterator[str]]:
    policy = parse_policy("simulated", {"rate": rate, "algorithm": algorithm})
    month = simulate(policy, per_second, refused / 100)
    dollars = round(PRICING_PLANS["payg"].cost_of(month.commands), 2)
    price = f"${dollars:,.2f}"

    def lines() -> Iterator[str]:
        yield f"let through  {month.admitted:>15,} a month"
        yield f"refused      {month.refused:>15,}"
        yield f"commands     {month.commands:>15,} at most, in one round trip per check"
        yield f"pay as you go{price:>15}; each read region adds its writes"
        yield f"at worst     {month.worst:>15,} in one window of {rate}"

    return {**asdict(month), "payg_dollars": dollars}, lines()


def _number(text: str) -> float:
    with suppress(ValueError):
        if 0 < (number := float(text)) < inf:
            return number
    raise ArgumentTypeError(f"{text!r} is not a number above 0")


def _percent(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (number := float(text)) <= 100:
            return number
    raise ArgumentTypeError(f"{text!r} is not a percentage: write 0 to 100")
