"""get_or_set with stampede protection: among all processes, one computes a value at a time.

The process that computes holds a *lease*, a key that expires. No caller waits if there is a value:
while one caller refreshes it, before or after its time, the others get the old one. If there is no
value, the other callers wait, and compute it themselves after `wait` seconds.

The lease is read together with the value. If neither exists, another caller may still compute the
value before this one acquires the lease, but only if this one is delayed for longer than the
computation takes. Therefore a caller that was slow reads the value again.
"""

from __future__ import annotations

import math
import random
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple

from continuum_upstash.cache.tags import complete_tokens, make_tag_keys, store
from continuum_upstash.codec.envelope import Envelope
from continuum_upstash.errors import ContinuumError
from continuum_upstash.keys import LEASE_KEYS
from continuum_upstash.observe import ProtectedRead, logger, notify
from continuum_upstash.plans.conditional import call_conditional
from continuum_upstash.plans.effects import Compute, Encode, Plan, SingleFlight, Sleep, call
from continuum_upstash.plans.envelopes import fetch_tokens, has_current_tokens
from continuum_upstash.plans.keyvalue import MISSING, KeyValuePlans
from continuum_upstash.plans.locks import RELEASE
from continuum_upstash.plans.timeouts import to_ms
from continuum_upstash.transports.registry import Database

DEFAULT_WAIT: Final = 5.0  # seconds

_LEASE_MS: Final = 30_000
_MAX_LEASE_MS: Final = 10 * 60 * 1000
_RETRY_MS: Final = 10_000  # after a failed refresh
_FIRST_PAUSE: Final = 0.05  # seconds; doubled after each attempt
_MAX_PAUSE: Final = 1.0
_SLOW: Final = 0.1  # seconds between reading a value and holding its lease
_MAX_JITTER: Final = 0.1  # of the lifetime
_MAX_EARLY: Final = 1e9
_FAILED: Final = "failed"  # the lease after a failed refresh, in place of a token


class Protection(NamedTuple):
    """The options of one call.

    Attributes:
        early: how early a value is refreshed: 1 is the best estimate of XFetch; 0: never.
        grace_ms: how long after its time a value may still be used.
        wait: how long a caller waits for another's computation, in seconds.
        tags: qualified tags.
        has_lease: whether only one caller computes.
        force: compute and store the value, even if there is one.
        cache_none: whether None is stored as other values are.
    """

    early: float
    grace_ms: int
    wait: float
    tags: tuple[str, ...]
    has_lease: bool
    force: bool = False
    cache_none: bool = True


def make_protection(
    early: float | None,
    grace: float | None,
    wait: float | None,
    tags: tuple[str, ...],
    *,
    force: bool = False,
    cache_none: bool = True,
) -> Protection | None:
    """Return the options of a call; None if there are none. Times are in seconds.

    Raises:
        TypeError: an option is not a number.
        ValueError: an option is negative or NaN.
    """
    for name, option in (("early", early), ("grace", grace), ("wait", wait)):
        try:
            is_valid = option is None or option >= 0
        except TypeError:
            raise TypeError(f"{name} must be a number, not {option!r}.") from None
        if not is_valid:
            raise ValueError(f"{name} must be 0 or more, not {option!r}.")
    has_lease = bool(early) or bool(grace) or wait is not None
    if not has_lease and not tags and not force and cache_none:
        return None
    return Protection(
        early=min(float(early or 0), _MAX_EARLY),
        grace_ms=to_ms(grace or 0),
        wait=DEFAULT_WAIT if wait is None else wait,
        tags=tags,
        has_lease=has_lease,
        force=force,
        cache_none=cache_none,
    )


class Computations:
    """What this process computes.

    Attributes:
        process: the first part of its lease tokens.
        tokens: the lease tokens of computations that have not ended. Another lease of this process
            is *abandoned*: its computation was cancelled.
        refreshes: the keys whose old values are being refreshed.
    """

    def __init__(self) -> None:
        self.process = secrets.token_hex(8)
        self.tokens: set[str] = set()
        self.refreshes: set[str] = set()

    def is_abandoned(self, lease: bytes) -> bool:
        token = lease.decode(errors="replace")
        return token.startswith(self.process) and token not in self.tokens


class _Found(NamedTuple):
    """What a read has found, or what was computed.

    Attributes:
        envelope: the value, if it may be used.
        exists: whether the key has any value.
        is_leased: whether a caller is computing the value.
        is_abandoned: whether this process has a lease and does not compute the value.
        tokens: the tokens of the call's tags.
        read_at: monotonic seconds.
        computed: the computed value.
        is_new: whether it was computed.
    """

    envelope: Envelope | None
    exists: bool
    is_leased: bool
    tokens: Mapping[str, bytes | None]
    read_at: float
    is_abandoned: bool = False
    computed: Any = None
    is_new: bool = False


class ProtectedGetOrSet:
    """The plan of one call.

    Args:
        keyvalue: the plans of the cache.
        database: of the cache.
        key: the full key.
        default: a value, or a function that computes it.
        ttl_ms: the lifetime of the value; None: no expiry; 0, with `force` only: delete it.
        protection: the options.
        clock: returns monotonic seconds.
        rng: returns a number from 0 to below 1.
    """

    def __init__(
        self,
        keyvalue: KeyValuePlans,
        database: Database,
        *,
        key: str,
        default: object,
        ttl_ms: int | None,
        protection: Protection,
        clock: Callable[[], float] = time.monotonic,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._keyvalue, self._database = keyvalue, database
        self._key, self._lease_key = key, f"{LEASE_KEYS}{key}"
        self._default, self._ttl_ms, self._options = default, ttl_ms, protection
        self._clock, self._rng = clock, rng
        self._tag_keys = make_tag_keys(protection.tags)
        self._computations = database.extras.get(Computations)
        self._token = ""
        self._decoded: tuple[Envelope | None, Any] = (None, None)

    def run(self) -> Plan[Any]:
        """Return the value, computed and stored if necessary."""
        found: _Found
        if self._options.force:
            tokens = yield from fetch_tokens(self._options.tags)
            found = yield from self._compute(_Found(None, True, False, tokens, self._clock()))
        else:
            found = yield SingleFlight((self._key, *self._tag_keys), self._find_or_compute)
            if not found.is_new and not self._is_fresh(found, self._options.grace_ms):
                # Another caller, with a longer grace, may use this value.
                found = yield from self._find_or_compute()
        if self._is_refresh_due(found):
            found = yield from self._refresh(found)
        envelope, value = self._decoded
        if found.envelope is envelope:  # this caller has read it, so no other has this copy
            return value
        assert found.envelope is not None
        return self._keyvalue.decode(found.envelope.content, found.computed)

    def _find_or_compute(self) -> Plan[_Found]:
        """Return the value, perhaps an old one; if there is none, wait for it or compute it."""
        found = yield from self._read()
        if found.envelope is not None:
            return found
        if not self._options.has_lease:
            return (yield from self._compute(found))
        left, pause = self._options.wait, _FIRST_PAUSE
        while True:
            if not found.is_leased:
                computed = yield from self._try_to_compute(found)
                if computed is not None:
                    return computed
            if left <= 0:
                return (yield from self._compute(found))
            delay = min(pause * (0.75 + self._rng() / 2), left)
            yield Sleep(delay)
            left, pause = left - delay, min(2 * pause, _MAX_PAUSE)
            found = yield from self._read()
            if found.envelope is not None:
                self._report("waited")
                return found

    def _read(self) -> Plan[_Found]:
        """Read the value, its lease and the tokens of its tags with one command.

        One more reads the tokens of tags that the value has and this call has not; one more deletes
        the lease of a failed refresh if there is no old value.
        """
        options = self._options
        leases = (self._lease_key,) if options.has_lease else ()
        raw, *rest = yield from self._keyvalue.mget((self._key, *leases, *self._tag_keys))
        lease = rest.pop(0) if leases else None
        is_abandoned = lease is not None and self._computations.is_abandoned(lease)
        is_leased = lease is not None and not is_abandoned
        tokens = dict(zip(options.tags, rest, strict=True))
        envelope = None
        if raw is not None:
            envelope = yield from self._open(raw, tokens)
        if envelope is None and lease == _FAILED.encode():
            # The old value was deleted since its refresh failed: no caller computes a new one.
            yield from self._release(_FAILED)
            is_leased = False
        return _Found(envelope, raw is not None, is_leased, tokens, self._clock(), is_abandoned)

    def _open(self, raw: bytes, tokens: Mapping[str, bytes | None]) -> Plan[Envelope | None]:
        """Return a value that may be used; None if it may not."""
        envelope = self._keyvalue.envelopes.read(raw)
        if envelope is None or not tokens.keys() <= envelope.tokens.keys():
            return None
        now_ms = self._keyvalue.envelopes.now_ms()
        if not envelope.is_fresh(now_ms, self._options.grace_ms):
            return None
        others = envelope.tokens.keys() - tokens.keys()
        if others:
            tokens = {**tokens, **(yield from fetch_tokens(others))}
        if not has_current_tokens(envelope, tokens):
            return None
        value = self._keyvalue.decode(envelope.content, MISSING)
        if value is MISSING:
            return None
        self._decoded = envelope, value
        return envelope

    def _is_refresh_due(self, found: _Found) -> bool:
        envelope = found.envelope
        if found.is_new or not self._options.has_lease:
            return False
        if envelope is None or not envelope.fresh_until_ms:
            return False
        early, lead_ms = self._options.early, 0
        if early:
            # XFetch (Vattani et al., VLDB 2015): the longer the computation, the earlier it starts.
            lead_ms = math.ceil(-envelope.compute_ms * early * math.log(1 - self._rng()))
        return not envelope.is_fresh(self._keyvalue.envelopes.now_ms() + lead_ms)

    def _refresh(self, found: _Found) -> Plan[_Found]:
        """Compute the value if no other caller does; otherwise, or if it fails, keep the old."""
        refreshes = self._computations.refreshes
        if found.is_leased or self._key in refreshes:
            return self._keep(found)
        refreshes.add(self._key)
        is_early = self._is_fresh(found)
        try:
            refreshed = yield from self._try_to_compute(found)
        except Exception as error:  # noqa: BLE001 any error of the function: there is a value
            yield from self._postpone_refresh(found, error)
            refreshed = None
        finally:
            refreshes.discard(self._key)
        if refreshed is None:
            return self._keep(found)
        if is_early:
            self._report("early")
        return refreshed

    def _try_to_compute(self, found: _Found) -> Plan[_Found | None]:
        """Return the value that was computed under the lease; None if another caller has it.

        If a refresh fails, the lease is kept.
        """
        tokens = self._computations.tokens
        self._token = f"{self._computations.process}{secrets.token_hex(8)}"
        tokens.add(self._token)
        try:
            if not (yield from self._acquire(found)):
                return None
            if self._clock() - found.read_at > _SLOW:
                again = yield from self._read()
                if again.envelope is not None and again.envelope != found.envelope:
                    yield from self._release(self._token)
                    return again
            try:
                computed = yield from self._compute(found)
            except Exception:
                if found.envelope is None:
                    yield from self._release(self._token)
                raise
            yield from self._release(self._token)
            return computed
        finally:
            tokens.discard(self._token)

    def _compute(self, found: _Found) -> Plan[_Found]:
        """Compute the value and store it, with the tokens that were read before."""
        options, ttl_ms = self._options, self._ttl_ms
        if ttl_ms is not None and options.has_lease:
            # Values that were stored together do not all expire together.
            ttl_ms = math.ceil(ttl_ms * (1 - _MAX_JITTER * self._rng()))
        tokens = yield from complete_tokens(
            self._keyvalue, found.tokens, self._ttl_ms and self._ttl_ms + options.grace_ms
        )
        started = self._clock()
        default = self._default
        value = (yield Compute(default)) if callable(default) else default
        compute_ms = max(math.ceil((self._clock() - started) * 1000), 1)
        content: bytes = yield Encode(value)
        if ttl_ms == 0 or (value is None and not options.cache_none):
            if found.exists:  # the old value is outdated
                yield from self._keyvalue.delete(self._key)
            return found._replace(envelope=Envelope(content), computed=value, is_new=True)
        envelope = Envelope(content, tokens=tokens)
        if ttl_ms is not None and (options.early or options.grace_ms):
            fresh_until_ms = self._keyvalue.envelopes.now_ms() + ttl_ms
            envelope = Envelope(content, fresh_until_ms, compute_ms, tokens)
            # Refreshed early, a value may reach its time before the refresh ends.
            ttl_ms += max(options.grace_ms, 2 * compute_ms if options.early else 0)
        # With XX, a value that is deleted while it is refreshed stays deleted. With NX, a value
        # that is set while a missing one is computed remains.
        condition: Literal["NX", "XX", ""] = "NX"
        if found.exists:
            condition = "" if found.envelope is None else "XX"
        stored = yield from store(self._keyvalue, self._key, envelope, ttl_ms, condition)
        if stored is None and condition == "NX":
            theirs = yield from self._read()
            if theirs.envelope is not None:
                return theirs._replace(computed=value, is_new=True)
        return found._replace(envelope=envelope, computed=value, is_new=True)

    def _keep(self, found: _Found) -> _Found:
        if not self._is_fresh(found):
            self._report("stale")
        return found

    def _is_fresh(self, found: _Found, grace_ms: int = 0) -> bool:
        now_ms = self._keyvalue.envelopes.now_ms()
        return found.envelope is not None and found.envelope.is_fresh(now_ms, grace_ms)

    def _report(self, result: Literal["early", "stale", "waited"]) -> None:
        notify(ProtectedRead(self._database.config.alias, result))

    # ---- the lease

    def _acquire(self, found: _Found) -> Plan[bool]:
        """Return whether this caller may compute: also if the server stores no lease."""
        expected_ms = 0 if found.envelope is None else 2 * found.envelope.compute_ms
        lease_ms = min(max(_LEASE_MS, expected_ms, to_ms(self._options.wait)), _MAX_LEASE_MS)
        condition = () if found.is_abandoned else ("NX",)
        command = ("SET", self._lease_key, self._token, "PX", lease_ms, *condition)
        try:
            return (yield from call(*command)) is not None
        except ContinuumError:
            return True

    def _release(self, token: str) -> Plan[None]:
        native = ("DELEX", self._lease_key, "IFEQ", token)
        script = ("EVAL", RELEASE, 1, self._lease_key, token)
        with suppress(ContinuumError):  # the lease expires
            conditional = self._database.conditional_commands
            yield from call_conditional(conditional, native, script, needs_server=False)

    def _postpone_refresh(self, found: _Found, error: Exception) -> Plan[None]:
        """Log a failed refresh; replace the lease by one that lasts until the next attempt."""
        logger.warning(
            "Cache '%s': a refresh in get_or_set failed, the old value is returned: %s",
            self._database.config.alias,
            type(error).__name__,
            exc_info=error,
        )
        assert found.envelope is not None
        now_ms = self._keyvalue.envelopes.now_ms()
        end_ms = found.envelope.fresh_until_ms + self._options.grace_ms
        pause_ms = min(_RETRY_MS, self._options.grace_ms or _RETRY_MS, end_ms - now_ms)
        command = ("SET", self._lease_key, _FAILED, "PX", max(pause_ms, 1), "XX")
        with suppress(ContinuumError):  # another caller tries earlier
            yield from call(*command)
