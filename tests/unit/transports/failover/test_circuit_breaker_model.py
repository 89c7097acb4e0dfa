"""The circuit breaker against a model of its contract, on random histories."""

from __future__ import annotations

from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from continuum_upstash.transports.failover.circuit_breaker import (
    FAILURE_THRESHOLD,
    REFUSED_OPEN_SECONDS,
    CircuitBreaker,
    State,
)

MAX_OPEN, PROBE_TIMEOUT = 30.0, 6.0


class Model(RuleBasedStateMachine):
    """Every permit is kept, and a result may be recorded for any of them, in any order."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.changes = [State.CLOSED]
        self.breaker = CircuitBreaker(
            MAX_OPEN, PROBE_TIMEOUT, self.on_change, lambda: self.now, lambda: 0.5
        )
        self.permits = []
        self.probe = None  # the permit whose result counts, and when its time-out ends
        self.failures = 0
        self.state = State.CLOSED
        self.opened_at = -inf
        self.longest = MAX_OPEN

    def on_change(self, old, new, reason):
        assert old is self.changes[-1], "no change is skipped or reported twice"
        assert new is not old
        assert reason
        self.changes.append(new)

    @rule(seconds=st.sampled_from([0.5, 1.5, PROBE_TIMEOUT, MAX_OPEN, REFUSED_OPEN_SECONDS]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def a_call_is_made(self):
        permit = self.breaker.acquire()
        if self.state in {State.CLOSED, State.DISABLED}:
            assert permit is not None
            assert not permit.probe
        elif self.state is State.FORCED_OPEN:
            assert permit is None
        elif self.state is State.HALF_OPEN and self.now < self.probe[1]:
            assert permit is None, "there is one probe at a time"
        elif self.state is State.HALF_OPEN or self.now >= self.opened_at + self.longest:
            assert permit is not None
            assert permit.probe, "no state lasts longer than a backoff or a probe's time-out"
        if permit is not None:
            self.permits.append(permit)
            if permit.probe:
                self.state = State.HALF_OPEN
                self.probe = permit, self.now + PROBE_TIMEOUT

    def counts(self, permit):
        if self.state is State.HALF_OPEN:
            return permit == self.probe[0]
        return permit.generation == self.breaker.generation

    @precondition(lambda self: self.permits)
    @rule(data=st.data())
    def a_call_succeeds(self, data):
        permit = data.draw(st.sampled_from(self.permits))
        if self.counts(permit):
            self.failures = 0
            if self.state is State.HALF_OPEN:
                self.state = State.CLOSED
        self.breaker.record_success(permit.generation)

    @precondition(lambda self: self.permits)
    @rule(data=st.data(), refused=st.booleans())
    def a_call_fails(self, data, refused):
        permit = data.draw(st.sampled_from(self.permits))
        if self.counts(permit) and self.state in {State.CLOSED, State.HALF_OPEN}:
            self.failures += 1
            is_probe = self.state is State.HALF_OPEN
            if refused or is_probe or self.failures == FAILURE_THRESHOLD:
                self.state, self.opened_at = State.OPEN, self.now
                self.longest = REFUSED_OPEN_SECONDS if refused else MAX_OPEN
        self.breaker.record_failure(permit.generation, "it failed", refused=refused)

    @precondition(lambda self: self.permits)
    @rule(data=st.data())
    def a_call_ends_without_a_result(self, data):
        permit = data.draw(st.sampled_from(self.permits))
        if self.state is State.HALF_OPEN and self.counts(permit):
            self.probe = permit, self.now
        self.breaker.release(permit.generation)

    @rule(method=st.sampled_from(["force_open", "disable", "reset"]))
    def a_state_is_forced(self, method):
        getattr(self.breaker, method)()
        self.failures = 0
        self.state = {
            "force_open": State.FORCED_OPEN,
            "disable": State.DISABLED,
            "reset": State.CLOSED,
        }[method]

    @invariant()
    def the_breaker_agrees_with_the_model(self):
        assert self.breaker.state is self.state
        assert self.breaker.is_passing == (self.state in {State.CLOSED, State.DISABLED})
        assert self.breaker.failures == self.failures
        assert self.changes[-1] is self.state


Model.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestBreakerModel = Model.TestCase
