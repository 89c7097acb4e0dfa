"""What each algorithm guarantees, tested by simulation."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum_upstash.ratelimit.engine.script import _get_dynamic_limit
from continuum_upstash.ratelimit.engine.simulate import compute_worst_case
from continuum_upstash.ratelimit.policy import MAX_LIMIT, parse_policy
from tests.unit.ratelimit.script_store import ScriptStore

SIMULATIONS = settings(max_examples=60, deadline=None)
gaps = st.integers(0, 400)
costs = st.integers(1, 3)
histories = st.lists(st.tuples(gaps, costs), min_size=1, max_size=120)


def make_policy(algorithm, limit=5, window="1000ms", **options):
    return parse_policy("p", {"rate": f"{limit}/{window}", "algorithm": algorithm, **options})


def run_history(policy, history):
    """Return (time, cost) of what is allowed in a history of (gap, cost)."""
    store, allowed = ScriptStore(), []
    for gap, cost in history:
        store.now += gap
        if store.check([policy], min(cost, policy.limit)).fits:
            allowed.append((store.now, min(cost, policy.limit)))
    return allowed


def get_maximum_in_any_window(allowed, window):
    return max(
        (sum(cost for t, cost in allowed if end - window < t <= end) for end, _ in allowed),
        default=0,
    )


@SIMULATIONS
@given(histories, st.integers(1, 9), st.sampled_from([1, 7, 250, 1000, 1300]))
def test_strict_never_allows_more_than_its_limit_in_any_window(history, limit, window):
    policy = make_policy("strict", limit, f"{window}ms")
    assert get_maximum_in_any_window(run_history(policy, history), window) <= limit


@SIMULATIONS
@given(histories, st.lists(st.integers(0, 300), min_size=2, max_size=4), st.integers(1, 9))
def test_strict_with_clocks_that_differ_keeps_its_limit_in_a_window_shorter_by_that(
    history, skews, limit
):
    policy, store, allowed = make_policy("strict", limit), ScriptStore(), []
    for number, (gap, cost) in enumerate(history):
        store.now += gap
        skew = skews[number % len(skews)]
        if store.check([policy], min(cost, limit), skew=skew).fits:
            allowed.append((store.now, min(cost, limit)))
    window = 1000 - (max(skews) - min(skews))
    assert get_maximum_in_any_window(allowed, window) <= limit


def test_strict_with_clocks_that_differ_can_allow_twice_its_limit_in_its_window():
    policy, store = make_policy("strict", 20), ScriptStore()
    store.now += 999
    slow = [store.check([policy], 1, skew=-100).fits for _ in range(21)]
    store.now += 901
    fast = [store.check([policy], 1, skew=100).fits for _ in range(21)]
    assert (slow.count(True), fast.count(True)) == (20, 20)


@SIMULATIONS
@given(histories, st.integers(1, 9))
def test_fixed_allows_its_limit_in_an_aligned_window_and_twice_that_in_any_window(history, limit):
    allowed = run_history(make_policy("fixed", limit), history)
    assert get_maximum_in_any_window(allowed, 1000) <= 2 * limit
    for window in {t // 1000 for t, _ in allowed}:
        assert sum(cost for t, cost in allowed if t // 1000 == window) <= limit


@SIMULATIONS
@given(histories, st.integers(1, 9), st.integers(3, 20))
def test_a_token_bucket_allows_its_burst_and_one_refill(history, refill, burst):
    policy = make_policy("token_bucket", refill, burst=burst)
    # Any window contains the end of one refill.
    assert get_maximum_in_any_window(run_history(policy, history), 1000) <= compute_worst_case(
        policy
    )


@SIMULATIONS
@given(histories, st.integers(1, 9))
def test_sliding_keeps_to_its_own_estimate(history, limit):
    allowed = run_history(make_policy("sliding", limit), history)
    for t, _ in allowed:
        start = t - t % 1000
        before = sum(cost for at, cost in allowed if start - 1000 <= at < start)
        during = sum(cost for at, cost in allowed if start <= at <= t)
        assert before * (1000 - t % 1000) // 1000 + during <= limit


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
@SIMULATIONS
@given(histories, st.integers(1, 9))
def test_a_request_is_allowed_after_retry_after_and_not_a_millisecond_earlier(
    algorithm, history, limit
):
    store, policy = ScriptStore(), make_policy(algorithm, limit)
    for gap, requested in history:
        store.now += gap
        cost = min(requested, limit)
        denied = store.check([policy], cost)
        if denied.fits:
            continue
        (verdict,) = denied.verdicts
        wait = round(verdict.retry_after * 1000)
        store.now += wait - 1
        assert not store.check([policy], cost).fits
        store.now += 1
        assert store.check([policy], cost).fits


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
@SIMULATIONS
@given(histories, st.integers(1, 9))
def test_more_remains_after_reset_after_and_not_a_millisecond_earlier(algorithm, history, limit):
    store, policy = ScriptStore(), make_policy(algorithm, limit)

    def remaining():
        return store.check([policy], 0).verdicts[0].remaining

    for gap, cost in history:
        store.now += gap
        result = store.check([policy], min(cost, limit))
        if result.fits:
            left = remaining()
            store.now += round(result.verdicts[0].reset_after * 1000) - 1
            assert remaining() == left
            store.now += 1
            assert remaining() > left


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
@SIMULATIONS
@given(histories)
def test_a_cost_fits_if_at_least_that_much_remains(algorithm, history):
    store, policy = ScriptStore(), make_policy(algorithm, 7)
    for gap, cost in history:
        store.now += gap
        before = store.check([policy], 0).verdicts[0].remaining
        result = store.check([policy], cost)
        assert result.fits == (cost <= before)
        assert result.verdicts[0].remaining == before - (cost if result.fits else 0)


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
def test_a_cost_of_0_charges_and_stores_nothing(algorithm):
    store = ScriptStore()
    assert store.check([make_policy(algorithm)], 0).verdicts[0].remaining == 5
    assert store.keys() == []


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
def test_a_denied_request_changes_nothing(algorithm):
    store, policy = ScriptStore(), make_policy(algorithm)
    store.check([policy], 5)
    before = store.dump()
    assert not store.check([policy], 1).fits
    assert store.dump() == before


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
def test_all_policies_of_a_request_are_charged_or_none(algorithm):
    store, loose = ScriptStore(), parse_policy("loose", {"rate": "100/s", "algorithm": algorithm})
    tight = parse_policy("tight", {"rate": "1/s"})
    assert store.check([loose, tight], 1).fits
    before = store.dump()
    denied = store.check([loose, tight], 1)
    assert [verdict.retry_after > 0 for verdict in denied.verdicts] == [False, True]
    assert store.dump() == before


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
def test_a_limit_can_be_lowered_and_raised_while_it_is_used(algorithm):
    store = ScriptStore()
    store.check([make_policy(algorithm, 5)], 4)
    lowered = store.check([make_policy(algorithm, 2)], 1)
    if algorithm != "token_bucket":  # a token bucket keeps its tokens, up to the new capacity
        assert (lowered.fits, lowered.verdicts[0].remaining) == (False, 0)
        assert store.check([make_policy(algorithm, 6)], 2).fits


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
def test_a_clock_that_is_set_back_restores_no_quota(algorithm):
    store, policy = ScriptStore(), make_policy(algorithm, window="60s")
    store.now += 30_000
    assert store.check([policy], 5).fits
    store.now -= 5_000
    denied = store.check([policy], 1)
    assert not denied.fits
    assert denied.verdicts[0].retry_after <= 66


@pytest.mark.parametrize(("window", "least"), [("60s", 0.95), ("2s", 0.90), ("1000ms", 0.90)])
def test_strict_allows_nearly_the_whole_rate_under_constant_overload(window, least):
    policy, store, allowed = make_policy("strict", 100, window), ScriptStore(), 0
    step = max(1, policy.rate.window // 1000)
    for _ in range(20_000):  # twenty windows
        store.now += step
        allowed += store.check([policy], 1).fits
    assert least * 100 <= allowed / 20 <= 105


def test_a_dynamic_limit_beyond_all_numbers_is_the_highest_limit():
    assert _get_dynamic_limit(b"9" * 400, 3) == MAX_LIMIT
