"""Runs the session plans against canned replies, so that a test can state the exact commands."""

from __future__ import annotations

from django.core.signing import JSONSerializer

from continuum_upstash.plans.runner import Runner, run
from continuum_upstash.sessions.plans import SessionCommands
from continuum_upstash.sessions.signing import Address, Draft, seal

AGE = 3_600_000
ADDRESS = Address("p", ("d1",))
NAME = "p:session:d1"
USER = {"_auth_user_id": "7"}
INDEX = "p:session-user:7"


def lifetime(data):
    return int(data.get("_session_expiry", AGE))


def commands(*, native=True):
    return SessionCommands("p", JSONSerializer, lifetime, native=native)


def sealed(data, *, digest="d1", until=0):
    return seal(Draft(digest, data, JSONSerializer, until))


def drive(plan, *replies):
    """Run a plan whose batches are answered by `replies`; return (result, batches sent)."""
    waiting, sent = list(replies), []

    def send(batch):
        sent.append(list(batch.commands))
        return waiting.pop(0)

    runner = Runner(send, seal, lambda key, run_it: run_it())
    result = run(plan, runner)
    assert not waiting, f"the plan did not ask for {waiting}"
    return result, sent


def loaded(data, **options):
    session = commands(**options)
    found, _ = drive(session.load(ADDRESS), [sealed(data)])
    assert found == data
    return session
