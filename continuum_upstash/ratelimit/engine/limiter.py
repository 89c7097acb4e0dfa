"""The engine: charges in, a decision out; everything that limits stands on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import index
from time import monotonic
from typing import Final, TypeVar, cast

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ConfigurationError, ReplyError, Unavailable
from continuum_upstash.observe import LimitDecided, has_observers, notify
from continuum_upstash.plans.effects import Batch, Plan, pair
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run
from continuum_upstash.protocol import Command, Replies
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.decision import EXEMPT, Decision, Reason, Verdict
from continuum_upstash.ratelimit.engine.ephemeral_cache import Denials
from continuum_upstash.ratelimit.engine.fallback import State, state_of
from continuum_upstash.ratelimit.engine.script import Answers, Charge, command, read
from continuum_upstash.ratelimit.engine.server_clock import Clock
from continuum_upstash.ratelimit.http.identity import digest
from continuum_upstash.ratelimit.policy import Policy, clash

R = TypeVar("R")

_LEAST_SECONDS: Final = 0.001
_NOTHING: Final = Answers(0, fits=True, verdicts=())


class ImproperlyConfiguredLimits(ConfigurationError, ImproperlyConfigured):
    """Rate limits cannot be kept with these settings."""


class TooCostly(ValueError):
    """A policy never allows such a cost."""


class Limiter:
    """Limits by the counters of one cache alias.

    Making one costs nothing: what processes remember hangs on the alias's database.

    Args:
        alias: of CACHES; None: ``CONTINUUM_RATELIMIT["ALIAS"]``.

    Raises:
        ImproperlyConfiguredLimits: the alias is no cache of this package.
    """

    def __init__(self, alias: str | None = None) -> None:
        alias = alias or conf.alias
        cache = _cache(alias)
        self._alias = alias
        self._database = cache.database
        self._prefix = f"{cache.key_prefix}:" if cache.key_prefix else ""
        # Upstash advises against clocks in scripts, and would bill them.
        self._servers_clock = not cache.database.config.is_upstash
        self._runner = Runner(self._database.send)
        self._async_runner = AsyncRunner(self._database.asend)

    def _run(self, plan: Plan[R]) -> R:
        return run(plan, self._runner)

    async def _arun(self, plan: Plan[R]) -> R:
        return await arun(plan, self._async_runner)

    def charges(
        self, policies: Iterable[Policy | str], identity: str, cost: int | None = None
    ) -> list[Charge]:
        """Return what `policies` would take from an identity."""
        return [
            self.charge(policy, identity, cost)
            for policy in (
                conf.policy(each) if isinstance(each, str) else each for each in policies
            )
        ]

    def charge(self, policy: Policy, identity: str, cost: int | None = None) -> Charge:
        """Return what one policy would take from an identity, by default its own cost.

        Raises:
            TooCostly: the cost is below 0, or more than the policy ever allows.
            TypeError: it is no whole number.
        """
        if conf.shadow and not policy.shadow:
            policy = replace(policy, shadow=True)
        if cost is None:
            cost = 1 if callable(policy.cost) else policy.cost
        if not 0 <= index(cost) <= policy.limit:
            raise TooCostly(
                f"Policy '{policy.name}' allows {policy.limit} at once, so that a cost of {cost} "
                "would never fit."
            )
        name = digest(identity) if policy.upstash_prefix is None else identity
        return Charge(policy, policy.storage(self._prefix, name), cost, policy.limit)

    def _check(
        self, policies: Iterable[Policy | str], identity: str, cost: int | None = None
    ) -> Plan[Decision]:
        """Decide on one request: it takes its cost from all policies, or from none.

        Args:
            policies: names of CONTINUUM_RATELIMIT, or policies.
            identity: who asks, to the letter; stored as a keyed hash.
            cost: how much it takes, by default each policy's own; 0 only looks.

        With ``MODE`` ``off`` everything is exempt, whatever it takes.
        """
        if conf.mode == "off":
            return EXEMPT
        return (yield from self._decide(self.charges(policies, identity, cost)))

    check, acheck = pair(_check)

    def _decide(self, charges: Sequence[Charge]) -> Plan[Decision]:
        """Decide on the charges of one request."""
        if conf.mode == "off":
            return EXEMPT
        decision = yield from self._decided(_distinct(charges))
        if has_observers() and (not decision.allowed or any(charge.cost for charge in charges)):
            for policy, outcome in decision.outcomes():
                notify(LimitDecided(self._alias, policy.name, outcome, decision.allowed))
        return decision

    decide, adecide = pair(_decide)

    def _decided(self, charges: Sequence[Charge]) -> Plan[Decision]:
        enforced = [charge for charge in charges if not charge.policy.shadow]
        shadowed = [charge for charge in charges if charge.policy.shadow]
        state = state_of(self._database)
        known = _known(enforced, state.denials)
        if known is not None:
            return known
        try:
            parts = [part for part in (enforced, shadowed) if part]
            answers = yield from state.patience.asking(self._ask(parts, state))
        except (Unavailable, ReplyError) as error:
            return state.standin.decide(enforced, error, self._database)
        return _settled(enforced, shadowed, answers, state.denials)

    def _reset(self, policies: Iterable[Policy | str], identity: str) -> Plan[int]:
        """Give an identity its full quota back; return how many counters were deleted.

        Other processes go on refusing whom they have refused for a minute at most.
        """
        charges = self.charges(policies, identity, 0)
        state = state_of(self._database)
        now = yield from _now(state.clock, monotonic() + conf.deadline)
        keys = [key for charge in charges for key in charge.policy.keys(charge.storage, now)]
        (deleted,) = yield Batch((("UNLINK", *keys),), needs_server=True)
        if isinstance(deleted, ReplyError):
            raise deleted
        for charge in charges:
            state.denials.forget(charge.storage)
        return cast("int", deleted)

    reset, areset = pair(_reset)

    def _ask(self, parts: Sequence[Sequence[Charge]], state: State) -> Plan[Replies]:
        """Ask the database: one round trip, where it knows the script and we know its time."""
        until = monotonic() + conf.deadline
        clock, now = self._servers_clock, 0
        if not clock or any(charge.policy.aligned for part in parts for charge in part):
            now = yield from _now(state.clock, until)
        commands = [command(part, now, servers_clock=clock, by_hash=True) for part in parts]
        replies = yield _batch(commands, until)
        if any(isinstance(reply, ReplyError) and reply.code == "NOSCRIPT" for reply in replies):
            # All of them again: a script that is unknown has charged nobody.
            commands = [command(part, now, servers_clock=clock, by_hash=False) for part in parts]
            replies = yield _batch(commands, until)
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise reply
        return cast("Replies", replies)


def _cache(alias: str) -> UpstashBaseCache:
    if alias not in caches.settings:
        what = "is not in CACHES"
    elif isinstance(cache := caches[alias], UpstashBaseCache):
        return cache
    else:
        what = f"is a {type(cache).__qualname__}"
    raise ImproperlyConfiguredLimits(
        f"The cache '{alias}' cannot count: it {what}. Name in CONTINUUM_RATELIMIT[\"ALIAS\"] an "
        "entry of CACHES whose BACKEND is continuum_upstash.backend.CacheBackend."
    )


def _known(charges: Sequence[Charge], denials: Denials) -> Decision | None:
    """Return the refusal that this process remembers.

    It is certain, but the time that it tells is the least: what others have taken from the
    policies that are not remembered is not known here, nor when a higher cost than the one that
    is remembered fits.
    """
    verdicts = [
        Verdict(charge.policy, 0, seconds, seconds)
        for charge in charges
        if charge.cost and (seconds := denials.find(charge))
    ]
    return Decision(False, "cached", tuple(verdicts)) if verdicts else None


def _now(clock: Clock, until: float) -> Plan[int]:
    now = clock.read()
    if now is None:
        sent = clock.mark()
        (reply,) = yield _batch([("TIME",)], until)
        if isinstance(reply, ReplyError):
            raise reply
        now = clock.learn(sent, reply)
    return now


def _settled(
    enforced: Sequence[Charge], shadowed: Sequence[Charge], answers: Replies, denials: Denials
) -> Decision:
    waiting = iter(answers)
    real = read(enforced, next(waiting)) if enforced else _NOTHING
    watched = read(shadowed, next(waiting)) if shadowed else _NOTHING
    verdicts = list(zip(enforced, real.verdicts, strict=True))
    # Where the same again would not fit, only the database can tell until when.
    known = not any(0 < verdict.remaining < charge.cost for charge, verdict in verdicts)
    for charge, verdict in verdicts:
        if verdict.retry_after > 0:
            denials.note(charge, verdict.retry_after)
        elif verdict.remaining == 0 and known:
            denials.note(charge._replace(cost=1), verdict.reset_after)
    if real.fits:
        reason: Reason = "allowed" if watched.fits else "shadow"
        return Decision(True, reason, real.verdicts, watched.verdicts, real.at or watched.at)
    return Decision(False, "limited", real.verdicts, watched.verdicts, real.at)


def _distinct(charges: Sequence[Charge]) -> Sequence[Charge]:
    """Return the charges, none of them twice.

    Raises:
        ConfigurationError: two policies would take from the same counter.
    """
    if len(charges) == 1:
        return charges
    distinct: dict[str, Charge] = {}
    for charge in charges:
        policy = distinct.setdefault(charge.storage, charge).policy
        if policy is not charge.policy and policy != charge.policy:
            raise ConfigurationError(clash(policy, charge.policy))
    return list(distinct.values())


def _batch(commands: Sequence[Command], until: float) -> Batch:
    return Batch(commands, needs_server=True, deadline_s=max(_LEAST_SECONDS, until - monotonic()))
