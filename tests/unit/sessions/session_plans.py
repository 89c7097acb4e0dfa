"""Runs session plans against canned replies, so that a test can assert the exact commands."""

from __future__ import annotations

from types import SimpleNamespace

from django.core.signing import JSONSerializer

from continuum_upstash.plans.runner import Runner, run
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.keys import StorageKey
from continuum_upstash.sessions.signing import UnsignedSession, sign

TTL_MS = 3_600_000
KEY = StorageKey("p", ("d1",))
REDIS_KEY = "p:session:d1"
USER = {"_auth_user_id": "7"}
INDEX_KEY = "p:session-user:7"


def get_ttl_ms(data):
    return int(data.get("_session_expiry", TTL_MS))


def make_plans(*, is_upstash=True):
    runner = SimpleNamespace(is_upstash=is_upstash)
    return conf.redis_plans_class(runner, JSONSerializer, get_ttl_ms)


def sign_data(data, *, digest="d1", until=0):
    return sign(UnsignedSession(digest, data, JSONSerializer, until))


def drive(plan, *replies):
    """Run a plan whose batches receive `replies`; return (result, sent batches)."""
    remaining, sent = list(replies), []

    def send(batch):
        sent.append(list(batch.commands))
        return remaining.pop(0)

    result = run(plan, Runner(send, sign))
    assert not remaining, f"the plan sent no batch for {remaining}"
    return result, sent


def load_plans(data, **options):
    """Return the plans of a session that has been loaded."""
    plans = make_plans(**options)
    found, _ = drive(plans.load(KEY), [sign_data(data)])
    assert found == data
    return plans
