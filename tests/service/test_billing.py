"""BILL: what is billed.

The bill itself needs the credentials of an account. These tests compare `total_commands_processed`
of INFO before and after. They are skipped if other clients use the database meanwhile, or if the
total counts PING, which is free, so that it is not the bill; then they only observe. An emulator
reports its own count.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from typing import Any

import pytest

from continuum_upstash.plans.info import parse
from tests.service.catalogue import UPSTASH, assume

FIELD = "total_commands_processed"
REPETITIONS = 5


@pytest.fixture
def measure(
    request, target, rest, record_property
) -> Callable[[], AbstractContextManager[dict[str, int]]]:
    """Return a context manager: its dict has `billed` after the block."""

    def read_total() -> int:
        total = parse(rest.call("INFO")).get(FIELD)
        if total is None:
            pytest.skip(f"INFO has no {FIELD}")
        return int(total)

    @contextmanager
    def measure_info() -> Any:
        steps = [read_total() for _ in range(4)]
        differences = {after - before for before, after in pairwise(steps)}
        if len(differences) > 1:
            pytest.skip(f"{FIELD} is not steady: other clients use this database, or it is cached")
        of_info = differences.pop()
        rest.pipeline(*[["PING"]] * REPETITIONS)
        before = read_total()
        of_ping = before - steps[-1] - of_info
        result = {}
        yield result
        result["billed"] = read_total() - before - of_info
        if of_ping or of_info:
            record_property("observed", f"{FIELD} rose by {result['billed']}")
            pytest.skip(f"{FIELD} counts PING or INFO: it is not the bill")

    @contextmanager
    def measure_emulator() -> Any:
        result = {}
        with request.getfixturevalue("emulator").count() as usage:
            yield result
        result["billed"] = usage.billed

    return measure_info if target.is_real else measure_emulator


@assume(
    "BILL-001",
    documented="redis/overall/billing",
    affects="cache_cost, the panel and the tables of billed commands are wrong.",
    commands=10,
    profiles=UPSTASH,
    alone=True,
)
def test_each_command_of_a_pipeline_is_billed(rest, key, measure):
    """Each command of a pipeline is billed; the request itself is not."""
    with measure() as total:
        rest.pipeline(*[["GET", key]] * 10)
    assert total["billed"] == 10


@assume(
    "BILL-002",
    unproven="no page says whether MULTI and EXEC are billed",
    affects="cache_cost, the panel and the tables of billed commands are wrong.",
    commands=10,
    profiles=UPSTASH,
    alone=True,
)
def test_each_command_of_a_transaction_is_billed(rest, key, measure):
    """Each command of a transaction over REST is billed; MULTI and EXEC are not."""
    with measure() as total:
        rest.pipeline(*[["GET", key]] * 10, target="/multi-exec")
    assert total["billed"] == 10


@assume(
    "BILL-003",
    documented="redis/howto/getstartedawslambda",
    affects="Health checks, the panel and cache_doctor cost money.",
    commands=0,
    profiles=UPSTASH,
    alone=True,
)
def test_ping_and_info_are_free(rest, measure):
    """PING, INFO and COMMAND are not billed."""
    with measure() as total:
        rest.pipeline(*[["PING"], ["INFO"], ["COMMAND"]] * REPETITIONS)
    assert total["billed"] == 0


@assume(
    "BILL-004",
    documented="redis/sdks/ratelimit-ts/costs",
    affects="cache_cost, the panel and the tables of billed commands are wrong.",
    commands=15,
    profiles=UPSTASH,
    alone=True,
)
def test_the_calls_of_a_script_are_billed(rest, key, measure):
    """EVAL is billed once, and once more for each command that its script runs."""
    script = "redis.call('EXISTS', KEYS[1]) return redis.call('EXISTS', KEYS[1])"
    with measure() as total:
        rest.pipeline(*[["EVAL", script, "1", key]] * REPETITIONS)
    assert total["billed"] == 3 * REPETITIONS


@assume(
    "BILL-005",
    documented="redis/overall/billing",
    affects="get_many, delete_many and set_many cost as many commands as keys.",
    commands=5,
    profiles=UPSTASH,
    alone=True,
)
def test_a_command_with_many_keys_is_billed_once(rest, make_key, measure):
    """MGET, and any command with several keys, is billed once."""
    keys = [make_key(str(number)) for number in range(10)]
    with measure() as total:
        rest.pipeline(*[["MGET", *keys]] * REPETITIONS)
    assert total["billed"] == REPETITIONS


@assume(
    "BILL-006",
    unproven="TIME is in no published list of free commands",
    affects="One command in five minutes and process is counted too many.",
    commands=5,
    profiles=UPSTASH,
    alone=True,
)
def test_time_is_billed(rest, measure):
    """TIME is billed."""
    with measure() as total:
        rest.pipeline(*[["TIME"]] * REPETITIONS)
    assert total["billed"] == REPETITIONS


@assume(
    "BILL-007",
    unproven="no page mentions failed commands",
    affects="Commands that fail are counted too many or too few.",
    commands=6,
    profiles=UPSTASH,
    alone=True,
)
def test_failed_commands(rest, key, measure, record_property):
    """What a command costs that fails with WRONGTYPE (an observation)."""
    rest.call("HSET", key, "a", "1")
    with measure() as total:
        rest.pipeline(*[["GET", key]] * REPETITIONS)
    record_property("observed", f"{total['billed']} billed of {REPETITIONS} that failed")
