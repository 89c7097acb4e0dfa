"""The engine: from charges to a decision. Middleware, decorator, throttle and form use it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from operator import index
from time import monotonic
from typing import Final, cast

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ConfigurationError, ReplyError, Unavailable
from continuum_upstash.observe import LimitDecided, has_observers, notify
from continuum_upstash.plans.effects import Batch, Plan
from continuum_upstash.protocol import Command, Replies, Reply
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.decision import EXEMPT, Decision, Reason
from continuum_upstash.ratelimit.engine.deny_lists import build_commands as build_list_commands
from continuum_upstash.ratelimit.engine.fallback import ProcessState, get_limiter_state
from continuum_upstash.ratelimit.engine.identity_hash import hash_identity
from continuum_upstash.ratelimit.engine.script import (
    Charge,
    ScriptResult,
    build_command,
    is_result,
    parse_reply,
)
from continuum_upstash.ratelimit.engine.server_clock import ServerClock
from continuum_upstash.ratelimit.engine.upstash_keys import (
    build_event,
    escape_reserved,
    make_events_key,
)
from continuum_upstash.ratelimit.policy import Policy, describe_shared_counter

_MIN_DEADLINE_SECONDS: Final = 0.001
_NO_RESULT: Final = ScriptResult(0, fits=True, verdicts=())


class ImproperlyConfiguredLimits(ConfigurationError, ImproperlyConfigured):
    """The settings name no cache that can store the counters."""


class CostExceedsLimit(ValueError):
    """A cost is negative, or above the limit of a policy: it would never be allowed."""


class Limiter:
    """Limits requests by counters in the database of one cache alias.

    Creating a limiter is cheap: connections and everything that is kept per process belong to the
    database.

    Args:
        alias: an entry of CACHES; None: ``CONTINUUM_RATELIMIT["ALIAS"]``.

    Raises:
        ImproperlyConfiguredLimits: the alias does not use this package's cache backend.
    """

    def __init__(self, alias: str | None = None) -> None:
        alias = alias or conf.alias
        cache = _get_cache(alias)
        self._alias = alias
        self._database = cache.database
        self._namespace = cache.key_prefix
        # Upstash advises against reading the time in scripts, and would bill it.
        self._use_server_clock = not cache.database.config.is_upstash
        self._is_remote = cache.database.config.mode != "local"
        self._run, self._arun = cache.run, cache.arun

    def check(
        self, policies: Iterable[Policy | str], identity: str, cost: int | None = None
    ) -> Decision:
        """Decide on one request, and charge its cost to all policies or to none.

        While the database is unavailable, the policies' on_error decides, after at most
        ``CONTINUUM_RATELIMIT["DEADLINE"]`` seconds. With MODE ``off``, the decision is always
        exempt.

        Billed: EVALSHA, one read for all policies, and one write per policy if the request is
        allowed; a ``token_bucket`` policy has its own read and two writes. So one policy takes 3
        commands (``token_bucket``: 4), or 2 for a refused request. A refusal from memory is free.
        TIME is sent once per process in five minutes. A policy with an upstash_prefix adds 1
        command if it is a ``token_bucket``, 1 if its deny list exists, 1 with analytics, and 2 per
        process in a minute.

        Args:
            policies: policies, or names in CONTINUUM_RATELIMIT.
            identity: the client. It is taken literally and stored as a keyed hash, or unhashed for
                policies with an upstash_prefix.
            cost: 0 reads without counting; None: each policy's own cost, or 1 if that is a
                function of the request.

        Raises:
            CostExceedsLimit: the cost is negative, or above the limit of a policy.
            ConfigurationError: a name is unknown, or two policies share a counter.
            TypeError: the cost is not an integer.
        """
        return self._run(self._check(policies, identity, cost))

    async def acheck(
        self, policies: Iterable[Policy | str], identity: str, cost: int | None = None
    ) -> Decision:
        """Decide on one request in the running event loop. See `check`."""
        return await self._arun(self._check(policies, identity, cost))

    def decide(self, charges: Sequence[Charge]) -> Decision:
        """Decide on the charges of one request, and apply all of them or none. See `check`.

        Args:
            charges: the results of `build_charge`, at least one.

        Raises:
            ConfigurationError: two policies share a counter.
        """
        return self._run(self._decide(charges))

    async def adecide(self, charges: Sequence[Charge]) -> Decision:
        """Decide on the charges of one request in the running event loop. See `decide`."""
        return await self._arun(self._decide(charges))

    def reset(self, policies: Iterable[Policy | str], identity: str) -> int:
        """Delete the counters of an identity, and return how many there were.

        Another process that has refused the identity may continue to do so for up to one minute.

        Billed: 1 command, and TIME as in `check`.

        Args:
            policies: policies, or names in CONTINUUM_RATELIMIT.
            identity: the client, as in `check`.

        Raises:
            Unavailable: the database could not be reached, or did not reply in time.
            ReplyError: the database returned an error.
            ConfigurationError: a name is unknown.
        """
        return self._run(self._reset(policies, identity))

    async def areset(self, policies: Iterable[Policy | str], identity: str) -> int:
        """Delete the counters of an identity in the running event loop. See `reset`."""
        return await self._arun(self._reset(policies, identity))

    def build_charges(
        self, policies: Iterable[Policy | str], identity: str, cost: int | None = None
    ) -> list[Charge]:
        """Return the charge of each policy. See `build_charge`."""
        return [
            self.build_charge(
                conf.get_policy(each) if isinstance(each, str) else each, identity, cost
            )
            for each in policies
        ]

    def build_charge(
        self, policy: Policy, identity: str, cost: int | None = None, values: Sequence[str] = ()
    ) -> Charge:
        """Return what one policy would charge an identity. Nothing is sent.

        Args:
            policy: with MODE ``shadow``, it becomes a shadow policy.
            identity: as in `check`.
            cost: as in `check`.
            values: of the client, to look up in a deny list in addition to the identity.

        Raises:
            CostExceedsLimit: the cost is negative, or above the policy's limit.
            TypeError: the cost is not an integer.
        """
        if conf.is_shadow and not policy.shadow:
            policy = replace(policy, shadow=True)
        if cost is None:
            cost = 1 if callable(policy.cost) else policy.cost
        if not 0 <= index(cost) <= policy.limit:
            raise CostExceedsLimit(
                f"Policy '{policy.name}': a cost of {cost} would never be allowed; it must be from "
                f"0 to {policy.limit}."
            )
        if policy.upstash_prefix is None:
            key_prefix = policy.build_key_prefix(self._namespace, hash_identity(identity))
            return Charge(policy, key_prefix, cost, policy.limit)
        key_prefix = policy.build_key_prefix(self._namespace, escape_reserved(identity))
        charge = Charge(policy, key_prefix, cost, policy.limit)
        if policy.shadow or not cost or not self._is_remote:
            return charge
        event = build_event(identity) if policy.analytics else ""
        return charge._replace(event=event, values=(identity, *filter(None, values)))

    def _check(
        self, policies: Iterable[Policy | str], identity: str, cost: int | None
    ) -> Plan[Decision]:
        is_off = conf.mode == "off"
        return self._decide(() if is_off else self.build_charges(policies, identity, cost))

    def _decide(self, charges: Sequence[Charge]) -> Plan[Decision]:
        if conf.mode == "off":
            return EXEMPT
        decision = yield from self._evaluate(_dedupe(charges))
        if has_observers() and (not decision.allowed or any(charge.cost for charge in charges)):
            for policy, outcome in decision.iter_outcomes():
                notify(LimitDecided(self._alias, policy.name, outcome, decision.allowed))
        return decision

    def _evaluate(self, charges: Sequence[Charge]) -> Plan[Decision]:
        enforced: list[Charge] = []
        shadowed: list[Charge] = []
        has_values, needs_time = False, not self._use_server_clock
        for charge in charges:
            (shadowed if charge.policy.shadow else enforced).append(charge)
            has_values = has_values or bool(charge.values)
            needs_time = needs_time or charge.policy.is_window_aligned
        state = get_limiter_state(self._database)
        blocked = state.ephemeral_cache.find_blocked(enforced)
        if blocked:
            return Decision(False, "cached", blocked)
        unknown_lists: Sequence[str] = ()
        if has_values:
            denied = state.deny_lists.find_denied(enforced)
            if denied:
                return Decision(False, "deny_list", denied)
            enforced, unknown_lists = state.deny_lists.drop_unneeded(enforced)
        try:
            parts = [part for part in (enforced, shadowed) if part]
            query = self._query(parts, unknown_lists, state, needs_time=needs_time)
            replies = yield from state.breaker.guard(query)
        except (Unavailable, ReplyError) as error:
            return state.local_limiter.decide(enforced, error, self._database)
        result = parse_reply(enforced, replies.pop(0)) if enforced else _NO_RESULT
        shadow_result = parse_reply(shadowed, replies.pop(0)) if shadowed else _NO_RESULT
        if result.denied:
            return (yield from _refuse(result, state))
        state.ephemeral_cache.block_exhausted(enforced, result.verdicts)
        return _build_decision(result, shadow_result)

    def _query(
        self,
        parts: Sequence[Sequence[Charge]],
        unknown_lists: Sequence[str],
        state: ProcessState,
        *,
        needs_time: bool,
    ) -> Plan[Replies]:
        """Run the script once per part: one round trip, if the script and the time are known.

        Args:
            parts: the charges of each run.
            unknown_lists: the deny lists of which this process does not know whether they exist.
            state: of this process.
            needs_time: whether the keys or the script depend on the time of this process.
        """
        until = monotonic() + conf.deadline
        use_server_clock, now = self._use_server_clock, 0
        if needs_time:
            now = yield from _get_server_time(state.clock, until)
        commands = [
            build_command(part, now, use_server_clock=use_server_clock, by_hash=True)
            for part in parts
        ]
        if unknown_lists:
            commands += build_list_commands(unknown_lists)
        replies: Replies = yield _build_batch(commands, until)
        if unknown_lists:
            state.deny_lists.record_existing(unknown_lists, replies[len(parts) :])
            replies = replies[: len(parts)]
        if any(map(_is_unknown_script, replies)):
            # Send all of them again: an unknown script has charged nothing.
            commands = [
                build_command(part, now, use_server_clock=use_server_clock, by_hash=False)
                for part in parts
            ]
            replies = yield _build_batch(commands, until)
        for part, reply in zip(parts, replies, strict=True):
            if isinstance(reply, ReplyError):
                raise reply
            if not is_result(part, reply):
                raise Unavailable(
                    f"Cache '{self._alias}': unexpected reply: the limiter's script returns "
                    "integers. Check the URL, and the proxy in front of the database."
                )
        return replies

    def _reset(self, policies: Iterable[Policy | str], identity: str) -> Plan[int]:
        charges = self.build_charges(policies, identity, 0)
        state = get_limiter_state(self._database)
        now = yield from _get_server_time(state.clock, monotonic() + conf.deadline)
        keys = [
            key for charge in charges for key in charge.policy.build_keys(charge.key_prefix, now)
        ]
        (deleted,) = yield Batch((("UNLINK", *keys),), needs_server=True)
        if isinstance(deleted, ReplyError):
            raise deleted
        for charge in charges:
            state.ephemeral_cache.clear(charge.key_prefix)
            state.local_limiter.reset(charge)
        return cast("int", deleted)


def _get_cache(alias: str) -> UpstashBaseCache:
    if alias not in caches.settings:
        problem = "is not in CACHES"
    elif isinstance(cache := caches[alias], UpstashBaseCache):
        return cache
    else:
        problem = f"is a {type(cache).__qualname__}"
    raise ImproperlyConfiguredLimits(
        f"Cache '{alias}' cannot be used for rate limits: it {problem}. Set "
        'CONTINUUM_RATELIMIT["ALIAS"] to an entry of CACHES whose BACKEND is '
        "continuum_upstash.backend.CacheBackend."
    )


def _is_unknown_script(reply: Reply) -> bool:
    return isinstance(reply, ReplyError) and reply.code == "NOSCRIPT"


def _get_server_time(clock: ServerClock, until: float) -> Plan[int]:
    """Return Unix milliseconds by the database's clock.

    Args:
        clock: the estimate; TIME is sent only if it has none.
        until: the deadline in monotonic seconds.
    """
    now = clock.get_time()
    if now is None:
        started = clock.start_sync()
        (reply,) = yield _build_batch([("TIME",)], until)
        if isinstance(reply, ReplyError):
            raise reply
        try:
            now = clock.sync(started, reply)
        except ValueError:
            raise Unavailable(
                "unexpected reply: TIME returns two numbers. Check the URL, and the proxy in front "
                "of the database."
            ) from None
    return now


def _build_decision(result: ScriptResult, shadow_result: ScriptResult) -> Decision:
    if result.fits:
        reason: Reason = "allowed" if shadow_result.fits else "shadow"
        at = result.at or shadow_result.at
        return Decision(True, reason, result.verdicts, shadow_result.verdicts, at)
    return Decision(False, "limited", result.verdicts, shadow_result.verdicts, result.at)


def _refuse(result: ScriptResult, state: ProcessState) -> Plan[Decision]:
    """Return the refusal of a client that is on a deny list, and record it where that is wanted."""
    state.deny_lists.record_denied(result.denied)
    events: list[Command] = [
        (
            "ZINCRBY",
            make_events_key(charge.policy.upstash_prefix or "", result.at),
            1,
            build_event(value, '"denied"}'),
        )
        for charge, value in result.denied
        if charge.event
    ]
    if events:
        with suppress(Unavailable):  # the decision does not depend on it
            yield _build_batch(events, monotonic() + conf.deadline)
    denied = [charge.policy for charge, _ in result.denied]
    verdicts = tuple(each for each in result.verdicts if each.policy in denied)
    return Decision(False, "deny_list", verdicts, (), result.at)


def _dedupe(charges: Sequence[Charge]) -> Sequence[Charge]:
    """Return the charges without repetitions.

    Raises:
        ConfigurationError: two different policies share a counter.
    """
    if len(charges) == 1:
        return charges
    distinct: dict[str, Charge] = {}
    for charge in charges:
        policy = distinct.setdefault(charge.key_prefix, charge).policy
        if policy is not charge.policy and policy != charge.policy:
            raise ConfigurationError(describe_shared_counter(policy, charge.policy))
    return list(distinct.values())


def _build_batch(commands: Sequence[Command], until: float) -> Batch:
    seconds = max(_MIN_DEADLINE_SECONDS, until - monotonic())
    return Batch(commands, needs_server=True, deadline_s=seconds)
