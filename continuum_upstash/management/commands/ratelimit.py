"""``manage.py ratelimit``: look at limits, lift them, try them, and reckon what they cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from continuum_upstash.errors import ContinuumError
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.decision import Decision, Verdict
from continuum_upstash.ratelimit.forecast import forecast, worst_case
from continuum_upstash.ratelimit.limiter import Limiter
from continuum_upstash.ratelimit.policy import make

_IDENTITY = "as the policy's key writes it: ip=203.0.113.7, user=5, header:X-Api-Key=…"


class Command(BaseCommand):
    help = "Show, reset and try rate limits, and tell what one would cost."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        status = actions.add_parser("status", help="all policies, and what one identity has left")
        status.add_argument("identity", nargs="?", help=_IDENTITY)
        reset = actions.add_parser("reset", help="give an identity its quota back")
        reset.add_argument("policy")
        reset.add_argument("identity", help=_IDENTITY)
        test = actions.add_parser("test", help="take from a policy, as requests would")
        test.add_argument("policy")
        test.add_argument("identity", help=_IDENTITY)
        test.add_argument("--times", type=int, default=1)
        simulate = actions.add_parser("simulate", help="what a month costs, and passes at worst")
        simulate.add_argument("rate", help='such as "100/m"')
        simulate.add_argument("--algorithm", default="strict")
        simulate.add_argument("--per-second", type=float, required=True, help="requests of all")
        simulate.add_argument("--refused", type=float, default=0.0, help="percent of them")

    def handle(self, *args: Any, action: str, **options: Any) -> None:  # noqa: ARG002 Django's
        actions: dict[str, Callable[..., None]] = {
            "status": self._status,
            "reset": self._reset,
            "test": self._test,
            "simulate": self._simulate,
        }
        try:
            actions[action](**options)
        except ContinuumError as error:
            raise CommandError(str(error)) from error

    def _status(self, *, identity: str | None, **_: Any) -> None:
        if not conf.policies:
            self.stdout.write("CONTINUUM_RATELIMIT has no policies.")
        for policy in conf.policies.values():
            line = (
                f"{policy.name:<20} {policy.rate!s:<10} {policy.algorithm:<13} "
                f"at worst {worst_case(policy)} in its window"
            )
            if identity is not None:
                decision = Limiter().check([policy], identity, 0)
                left = (decision.verdicts or decision.shadowed)[0]
                line += f"; {left.remaining} left"
            self.stdout.write(line)

    def _reset(self, *, policy: str, identity: str, **_: Any) -> None:
        deleted = Limiter().reset([policy], identity)
        self.stdout.write("Reset." if deleted else "There was nothing to reset.")

    def _test(self, *, policy: str, identity: str, times: int, **_: Any) -> None:
        for number in range(1, times + 1):
            decision = Limiter().check([policy], identity)
            self.stdout.write(f"{number}: {_told(decision)}")

    def _simulate(
        self, *, rate: str, algorithm: str, per_second: float, refused: float, **_: Any
    ) -> None:
        month = forecast(
            make("simulated", {"rate": rate, "algorithm": algorithm}), per_second, refused / 100
        )
        self.stdout.write(
            f"let through  {month.admitted:>15,} a month\n"
            f"refused      {month.refused:>15,}\n"
            f"commands     {month.commands:>15,} at most, in one round trip per check\n"
            f"pay as you go {month.dollars:>14,.2f} $; each read region adds its writes\n"
            f"at worst     {month.worst:>15,} in one window of {rate}"
        )


def _told(decision: Decision) -> str:
    verdict: Verdict = (decision.verdicts or decision.shadowed)[0]
    if decision.allowed:
        return f"{decision.reason}, {verdict.remaining} left"
    return f"{decision.reason}, again in {decision.retry_after:.3f} s"
