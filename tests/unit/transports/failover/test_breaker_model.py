"""The breaker against a model of what is promised, on random histories."""

from __future__ import annotations

from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from continuum_upstash.transports.failover.breaker import REFUSAL_BREAK, TRIP_AFTER, Breaker, State

CEILING, LEASE = 30.0, 6.0


class Model(RuleBasedStateMachine):
    """It keeps every ticket for ever, and reports on any of them, in any order."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.told = [State.CLOSED]
        self.breaker = Breaker(CEILING, LEASE, self.tell, lambda: self.now, lambda: 0.5)
        self.tickets = []
        self.probe = None  # the one whose report counts, and when its lease ends
        self.failures = 0
        self.state = State.CLOSED
        self.opened_at = -inf
        self.longest = CEILING

    def tell(self, old, new, reason):
        assert old is self.told[-1], "no change is skipped or told twice"
        assert new is not old
        assert reason
        self.told.append(new)

    @rule(seconds=st.sampled_from([0.5, 1.5, LEASE, CEILING, REFUSAL_BREAK]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def a_caller_comes(self):
        ticket = self.breaker.admit()
        if self.state in {State.CLOSED, State.DISABLED}:
            assert ticket is not None
            assert not ticket.probe
        elif self.state is State.FORCED_OPEN:
            assert ticket is None
        elif self.state is State.HALF_OPEN and self.now < self.probe[1]:
            assert ticket is None, "there is one probe at a time"
        elif self.state is State.HALF_OPEN or self.now >= self.opened_at + self.longest:
            assert ticket is not None
            assert ticket.probe, "nobody is kept from trying for longer than a break, or a lease"
        if ticket is not None:
            self.tickets.append(ticket)
            if ticket.probe:
                self.state = State.HALF_OPEN
                self.probe = ticket, self.now + LEASE

    def counts(self, ticket):
        if self.state is State.HALF_OPEN:
            return ticket == self.probe[0]
        return ticket.era == self.breaker.era

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def a_call_succeeds(self, data):
        ticket = data.draw(st.sampled_from(self.tickets))
        if self.counts(ticket):
            self.failures = 0
            if self.state is State.HALF_OPEN:
                self.state = State.CLOSED
        self.breaker.succeeded(ticket.era)

    @precondition(lambda self: self.tickets)
    @rule(data=st.data(), refused=st.booleans())
    def a_call_fails(self, data, refused):
        ticket = data.draw(st.sampled_from(self.tickets))
        if self.counts(ticket) and self.state in {State.CLOSED, State.HALF_OPEN}:
            self.failures += 1
            if refused or self.state is State.HALF_OPEN or self.failures == TRIP_AFTER:
                self.state, self.opened_at = State.OPEN, self.now
                self.longest = REFUSAL_BREAK if refused else CEILING
        self.breaker.failed(ticket.era, "it failed", refused=refused)

    @rule(how=st.sampled_from(["force_open", "disable", "reset"]))
    def somebody_forces_it(self, how):
        getattr(self.breaker, how)()
        self.failures = 0
        self.state = {
            "force_open": State.FORCED_OPEN,
            "disable": State.DISABLED,
            "reset": State.CLOSED,
        }[how]

    @invariant()
    def it_is_what_the_model_says(self):
        assert self.breaker.state is self.state
        assert self.breaker.passes == (self.state in {State.CLOSED, State.DISABLED})
        assert self.breaker.failures == self.failures
        assert self.told[-1] is self.state


Model.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestBreakerModel = Model.TestCase
