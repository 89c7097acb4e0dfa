"""Runs session plans against canned replies, so that a test can assert the exact commands."""

from __future__ import annotations

from types import SimpleNamespace

from django.core.signing import JSONSerializer

from continuum_upstash.plans.conditional import ConditionalCommands
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.keys import StorageKey
from continuum_upstash.sessions.signing import UnsignedSession, sign
from tests.unit import plan_runner

TTL_MS = 3_600_000
KEY = StorageKey("p", ("d1",))
REDIS_KEY = "continuum:session:p:d1"
USER = {"_auth_user_id": "7"}
INDEX_KEY = "continuum:session-user:p:7"


def get_ttl_ms(data):
    return int(data.get("_session_expiry", TTL_MS))


def make_plans(*, is_upstash=True):
    runner = SimpleNamespace(conditional_commands=ConditionalCommands(supported=is_upstash))
    return conf.redis_plans_class(runner, JSONSerializer, get_ttl_ms)


def sign_data(data, *, digest="d1", until=0):
    return sign(UnsignedSession(digest, data, JSONSerializer, until))


def run_plan(plan, *replies):
    """Run a plan that signs what it encodes; see `plan_runner.run_plan`."""
    return plan_runner.run_plan(plan, *replies, encode=sign)


def load_plans(data, **options):
    """Return the plans of a session that has been loaded."""
    plans = make_plans(**options)
    found, _ = run_plan(plans.load(KEY), [sign_data(data)])
    assert found == data
    return plans
