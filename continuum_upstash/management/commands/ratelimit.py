"""``manage.py ratelimit``: show, reset, test and simulate rate limits."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from math import inf
from typing import Any, Final, get_args

from django.core.management.base import BaseCommand, CommandParser

from continuum_upstash.errors import ContinuumError, escape_unprintable
from continuum_upstash.management.arguments import fail, format_json, parse_positive_int
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.algorithms import Algorithm
from continuum_upstash.ratelimit.engine.decision import Decision, Verdict
from continuum_upstash.ratelimit.engine.limiter import Limiter
from continuum_upstash.ratelimit.engine.simulate import compute_worst_case, simulate
from continuum_upstash.ratelimit.http.identity import matches_policy, parse_identity
from continuum_upstash.ratelimit.policy import Policy, parse_policy
from continuum_upstash.stats.pricing import get_pricing_plan

_IDENTITY_HELP: Final = (
    "for example ip=203.0.113.7, user=5 or post:username=alice; one argument for each part of the "
    "policy's key"
)
# Separates several parts in one argument. A value may contain white space.
_NEXT_PART: Final = re.compile(r"\s+(?=(?:ip|user|key|(?:get|header|post):[^\s=]+)=)")


class Command(BaseCommand):
    help = (
        "Show, reset, test and simulate rate limits. Exit status 0: success; 2: the database is "
        "unreachable or the arguments are invalid."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

        def add_action(name: str, text: str) -> ArgumentParser:
            action: ArgumentParser = actions.add_parser(name, help=text, description=text)
            action.add_argument("--format", choices=("text", "json"), default="text", dest="form")
            return action

        status = add_action("status", "Show all policies, and the remaining quota of an identity.")
        status.add_argument("identity", nargs="*", help=_IDENTITY_HELP)
        reset = add_action("reset", "Restore the full quota of an identity.")
        reset.add_argument("policy")
        reset.add_argument("identity", nargs="+", help=_IDENTITY_HELP)
        test = add_action("test", "Charge a policy like requests of an identity.")
        test.add_argument("policy")
        test.add_argument("identity", nargs="+", help=_IDENTITY_HELP)
        test.add_argument(
            "--times", type=parse_positive_int, default=1, help="number of requests (default 1)"
        )
        simulation = add_action(
            "simulate", "Show commands and dollars per month, and the worst case of a window."
        )
        simulation.add_argument("rate", help='for example "100/m"')
        simulation.add_argument("--algorithm", choices=get_args(Algorithm), default="strict")
        simulation.add_argument(
            "--per-second",
            type=_parse_positive_float,
            required=True,
            help="requests of all clients per second",
        )
        simulation.add_argument(
            "--refused", type=_parse_percentage, default=0.0, help="percentage of refused requests"
        )

    def handle(self, *args: Any, action: str, form: str, **options: Any) -> None:  # noqa: ARG002 Django's
        actions: dict[str, Callable[..., tuple[dict[str, Any], Iterator[str]]]] = {
            "status": _read_status,
            "reset": _reset,
            "test": _test,
            "simulate": _simulate,
        }
        try:
            values, lines = actions[action](**options)
        except ContinuumError as error:
            fail(str(error))
        self.stdout.write(format_json(values) if form == "json" else _join(lines))


def _join(lines: Iterator[str]) -> str:
    return "\n".join(map(escape_unprintable, lines))


# Each action returns the entries of --format json, and the lines of --format text.


def _read_status(*, identity: Sequence[str], **_: Any) -> tuple[dict[str, Any], Iterator[str]]:
    policies = conf.policies.values()
    if (
        identity
        and policies
        and not any(matches_policy(each, _split_parts(each, identity)) for each in policies)
    ):
        fail(
            f"No policy has a key for {' '.join(identity)!r}. Write an identity, {_IDENTITY_HELP}."
        )
    entries = [_read_policy(each, identity) for each in policies]

    def lines() -> Iterator[str]:
        if not entries:
            yield "CONTINUUM_RATELIMIT has no policies."
        for each in entries:
            yield (
                f"{each['name']:<20} {each['rate']:<10} {each['algorithm']:<13} "
                f"worst case {each['worst']} in a window{_format_remaining(each, identity)}"
            )

    return {"mode": conf.mode, "identity": identity, "policies": entries}, lines()


def _read_policy(policy: Policy, identity: Sequence[str]) -> dict[str, Any]:
    remaining, parts = None, _split_parts(policy, identity)
    if identity and matches_policy(policy, parts) and conf.mode != "off":
        decision = Limiter().check([policy], parse_identity(policy, parts), 0)
        remaining = _get_verdict(decision).remaining
    return {
        "name": policy.name,
        "rate": str(policy.rate),
        "algorithm": policy.algorithm,
        "limit": policy.limit,
        "worst": compute_worst_case(policy),
        "remaining": remaining,
    }


def _split_parts(policy: Policy, identity: Sequence[str]) -> Sequence[str]:
    """Return the parts of an identity; one quoted argument may contain all of them."""
    if len(identity) != 1 or matches_policy(policy, identity):
        return identity
    parts = _NEXT_PART.split(identity[0].strip())
    return parts if matches_policy(policy, parts) else identity


def _parse_identity(name: str, identity: Sequence[str]) -> str:
    policy = conf.get_policy(name)
    return parse_identity(policy, _split_parts(policy, identity))


def _format_remaining(policy: Mapping[str, Any], identity: Sequence[str]) -> str:
    if not identity:
        return ""
    if conf.mode == "off":
        return "; not counted, because MODE is 'off'"
    remaining = policy["remaining"]
    return "; has another key" if remaining is None else f"; {remaining} remaining"


def _reset(
    *, policy: str, identity: Sequence[str], **_: Any
) -> tuple[dict[str, Any], Iterator[str]]:
    deleted = Limiter().reset([policy], _parse_identity(policy, identity))
    text = "The full quota was restored." if deleted else "Nothing to reset: the quota is full."
    return {"deleted": deleted}, iter([text])


def _test(
    *, policy: str, identity: Sequence[str], times: int, **_: Any
) -> tuple[dict[str, Any], Iterator[str]]:
    limiter, client = Limiter(), _parse_identity(policy, identity)
    decisions = [_as_dict(limiter.check([policy], client)) for _ in range(times)]

    def lines() -> Iterator[str]:
        for number, each in enumerate(decisions, 1):
            remaining = f"{each['remaining']} remaining"
            wait = f"retry after {each['retry_after']:.3f} s"
            yield f"{number}: {each['reason']}, {remaining if each['allowed'] else wait}"

    return {"decisions": decisions}, lines()


def _as_dict(decision: Decision) -> Mapping[str, Any]:
    return {
        "allowed": decision.allowed,
        "reason": decision.reason,
        "remaining": _get_verdict(decision).remaining,
        "retry_after": decision.retry_after,
    }


def _get_verdict(decision: Decision) -> Verdict:
    """Return the verdict of the only policy.

    Raises:
        CommandError: the decision was made without the counters of the database.
    """
    if decision.reason == "exempt":
        fail("CONTINUUM_RATELIMIT has MODE 'off': requests are not counted.")
    if decision.reason == "unavailable":
        fail(
            f"The rate-limit counters of cache '{conf.alias}' are unavailable: run manage.py "
            f"cache_doctor --cache {conf.alias} to find the cause."
        )
    return (decision.verdicts or decision.shadowed)[0]


def _simulate(
    *, rate: str, algorithm: str, per_second: float, refused: float, **_: Any
) -> tuple[dict[str, Any], Iterator[str]]:
    policy = parse_policy("simulated", {"rate": rate, "algorithm": algorithm})
    month = simulate(policy, per_second, refused / 100)
    dollars = round(get_pricing_plan("payg").cost_of(month.commands), 2)
    price = f"${dollars:,.2f}"

    def lines() -> Iterator[str]:
        yield f"Allowed        {month.admitted:>15,} requests per month"
        yield f"Refused        {month.refused:>15,} requests per month"
        yield f"Commands       {month.commands:>15,} at most; one round trip per check"
        yield f"Pay as you go  {price:>15} per month; each read region also bills the writes"
        yield f"Worst case     {month.worst:>15,} allowed requests in one window of {rate}"

    return {**asdict(month), "payg_dollars": dollars}, lines()


def _parse_positive_float(text: str) -> float:
    with suppress(ValueError):
        if 0 < (number := float(text)) < inf:
            return number
    raise ArgumentTypeError(f"{text!r} is not a number above 0")


def _parse_percentage(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (number := float(text)) <= 100:
            return number
    raise ArgumentTypeError(f"{text!r} is not a percentage: write 0 to 100")
