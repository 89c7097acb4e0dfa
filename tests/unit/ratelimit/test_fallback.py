"""What the limiter keeps per process for a database."""

from __future__ import annotations

from continuum_upstash.config.resolve import Config
from continuum_upstash.ratelimit.engine.fallback import get_limiter_state
from continuum_upstash.transports.registry import Database


def test_each_database_has_its_own_state():
    one, other = Database(Config()), Database(Config())
    assert get_limiter_state(one) is get_limiter_state(one)
    assert get_limiter_state(one) is not get_limiter_state(other)


def test_a_forked_child_has_its_own_state():
    database = Database(Config())
    state = get_limiter_state(database)
    database.reset_after_fork()
    assert get_limiter_state(database) is not state
