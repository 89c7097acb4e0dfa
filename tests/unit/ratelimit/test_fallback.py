"""What the limiter keeps per process for a database."""

from __future__ import annotations

import pytest
from django.test import override_settings

from continuum_upstash.config.resolve import Config
from continuum_upstash.ratelimit.engine.fallback import get_limiter_state
from continuum_upstash.ratelimit.engine.script import Charge
from continuum_upstash.ratelimit.policy import parse_policy
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


@pytest.fixture
def database():
    return Database(Config())


@pytest.fixture
def local_limiter(database):
    with override_settings(CONTINUUM_RATELIMIT={"INSTANCES": 1}):
        yield get_limiter_state(database).local_limiter


def make_charge(name, rate="3/h", algorithm="strict", cost=1):
    policy = parse_policy("p", {"rate": rate, "algorithm": algorithm})
    return Charge(policy, name, cost, policy.limit)


def decide(local_limiter, database, charge):
    return local_limiter.decide([charge], ConnectionError(), database)


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
@pytest.mark.parametrize("attempts", [3, 5])  # exhausted, and denied
def test_other_identities_do_not_make_an_exhausted_limit_whole(
    local_limiter, database, algorithm, attempts
):
    charge = make_charge("victim", algorithm=algorithm)
    for _ in range(attempts):
        decide(local_limiter, database, charge)
    for number in range(11_000):
        decide(local_limiter, database, make_charge(f"other{number}", algorithm=algorithm))
    decision = decide(local_limiter, database, charge)
    assert (decision.allowed, decision.reason) == (False, "limited")
    assert 0 < decision.retry_after <= 3600 * 1.05 + 1


def test_a_higher_cost_than_fits_is_denied_and_a_lower_one_is_not(local_limiter, database):
    decide(local_limiter, database, make_charge("a", cost=2))
    costs = [
        decide(local_limiter, database, make_charge("a", cost=cost)).allowed for cost in (2, 1, 1)
    ]
    assert costs == [False, True, False]


def test_a_reset_deletes_the_counters_of_the_process_too(local_limiter, database):
    charge = make_charge("a")
    for _ in range(4):
        decide(local_limiter, database, charge)
    local_limiter.reset(charge)
    assert decide(local_limiter, database, charge).verdicts[0].remaining == 2


@pytest.mark.parametrize(
    ("workers", "setting", "expected"),
    [
        (None, {}, 2),
        ("4", {}, 4),
        ("1", {}, 1),
        ("4", {"INSTANCES": 3}, 3),
        ("many", {}, 2),
        ("0", {}, 2),
        ("-1", {}, 2),
        ("", {}, 2),
    ],
)
def test_the_processes_that_share_a_limit_are_known_or_the_limit_is_halved(
    monkeypatch, workers, setting, expected, database
):
    if workers is None:
        monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    else:
        monkeypatch.setenv("WEB_CONCURRENCY", workers)
    with override_settings(CONTINUUM_RATELIMIT=setting):
        local_limiter = get_limiter_state(database).local_limiter
        charge = make_charge("a", rate="12/h")
        allowed = [decide(local_limiter, database, charge).allowed for _ in range(13)]
    assert allowed.count(True) == 12 // expected
