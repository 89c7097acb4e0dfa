"""The pure rules, by simulation: what each algorithm guarantees, and what it does not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuum_upstash.ratelimit.engine.simulate import worst_case
from continuum_upstash.ratelimit.policy import make
from tests.unit.ratelimit.ratelimit_store import Store

SIMULATIONS = settings(max_examples=60, deadline=None)
gaps = st.integers(0, 400)
costs = st.integers(1, 3)
histories = st.lists(st.tuples(gaps, costs), min_size=1, max_size=120)


def policy(algorithm, limit=5, window="1000ms", **options):
    return make("p", {"rate": f"{limit}/{window}", "algorithm": algorithm, **options})


def admitted(policy, history):
    """Return (time, cost) of all that passes in a history of (gap, cost)."""
    store, passed = Store(), []
    for gap, cost in history:
        store.now += gap
        if store.check([policy], min(cost, policy.limit)).fits:
            passed.append((store.now, min(cost, policy.limit)))
    return passed


def most_in_any_window(passed, window):
    return max(
        (sum(cost for t, cost in passed if end - window < t <= end) for end, _ in passed), default=0
    )


@SIMULATIONS
@given(histories, st.integers(1, 9), st.sampled_from([1, 7, 250, 1000, 1300]))
def test_strict_never_lets_more_pass_in_any_window(history, limit, window):
    kept = policy("strict", limit, f"{window}ms")
    assert most_in_any_window(admitted(kept, history), window) <= limit


@SIMULATIONS
@given(histories, st.integers(1, 9))
def test_fixed_lets_no_more_pass_in_an_aligned_window_and_twice_as_many_in_any(history, limit):
    passed = admitted(policy("fixed", limit), history)
    assert most_in_any_window(passed, 1000) <= 2 * limit
    for window in {t // 1000 for t, _ in passed}:
        assert sum(cost for t, cost in passed if t // 1000 == window) <= limit


@SIMULATIONS
@given(histories, st.integers(1, 9), st.integers(3, 20))
def test_a_token_bucket_lets_its_burst_and_one_refill_pass(history, refill, burst):
    kept = policy("token_bucket", refill, burst=burst)
    # A window of any place holds the end of one refill.
    assert most_in_any_window(admitted(kept, history), 1000) <= worst_case(kept)


@SIMULATIONS
@given(histories, st.integers(1, 9))
def test_sliding_holds_its_own_estimate(history, limit):
    passed = admitted(policy("sliding", limit), history)
    for t, _ in passed:
        start = t - t % 1000
        before = sum(cost for at, cost in passed if start - 1000 <= at < start)
        during = sum(cost for at, cost in passed if start <= at <= t)
        assert before * (1000 - t % 1000) // 1000 + during <= limit


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
@SIMULATIONS
@given(histories, st.integers(1, 9))
def test_who_waits_as_long_as_told_is_let_in_and_a_millisecond_earlier_is_not(
    algorithm, history, limit
):
    store, kept = Store(), policy(algorithm, limit)
    for gap, wanted in history:
        store.now += gap
        cost = min(wanted, limit)
        refused = store.check([kept], cost)
        if refused.fits:
            continue
        (verdict,) = refused.verdicts
        wait = round(verdict.retry_after * 1000)
        store.now += wait - 1
        assert not store.check([kept], cost).fits
        store.now += 1
        assert store.check([kept], cost).fits


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
@SIMULATIONS
@given(histories, st.integers(1, 9))
def test_more_remains_when_it_was_told_and_not_a_millisecond_earlier(algorithm, history, limit):
    store, kept = Store(), policy(algorithm, limit)

    def remaining():
        return store.check([kept], 0).verdicts[0].remaining

    for gap, cost in history:
        store.now += gap
        answer = store.check([kept], min(cost, limit))
        if answer.fits:
            left = remaining()
            store.now += round(answer.verdicts[0].reset_after * 1000) - 1
            assert remaining() == left
            store.now += 1
            assert remaining() > left


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
@SIMULATIONS
@given(histories)
def test_what_remains_is_what_fits(algorithm, history):
    store, kept = Store(), policy(algorithm, 7)
    for gap, cost in history:
        store.now += gap
        before = store.check([kept], 0).verdicts[0].remaining
        answer = store.check([kept], cost)
        assert answer.fits == (cost <= before)
        assert answer.verdicts[0].remaining == before - (cost if answer.fits else 0)


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
def test_looking_takes_and_stores_nothing(algorithm):
    store = Store()
    assert store.check([policy(algorithm)], 0).verdicts[0].remaining == 5
    assert store.keys() == []


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
def test_a_refusal_changes_nothing(algorithm):
    store, kept = Store(), policy(algorithm)
    store.check([kept], 5)
    before = store.dump()
    assert not store.check([kept], 1).fits
    assert store.dump() == before


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
def test_all_policies_of_a_request_pay_or_none(algorithm):
    store, loose = Store(), make("loose", {"rate": "100/s", "algorithm": algorithm})
    tight = make("tight", {"rate": "1/s"})
    assert store.check([loose, tight], 1).fits
    before = store.dump()
    refused = store.check([loose, tight], 1)
    assert [verdict.retry_after > 0 for verdict in refused.verdicts] == [False, True]
    assert store.dump() == before


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
def test_a_limit_may_be_lowered_and_raised_while_it_is_used(algorithm):
    store = Store()
    store.check([policy(algorithm, 5)], 4)
    lowered = store.check([policy(algorithm, 2)], 1)
    if algorithm != "token_bucket":  # whose tokens are what they were, up to the new size
        assert (lowered.fits, lowered.verdicts[0].remaining) == (False, 0)
        assert store.check([policy(algorithm, 6)], 2).fits


@pytest.mark.parametrize("algorithm", ["strict", "fixed", "sliding", "token_bucket"])
def test_a_clock_that_goes_back_gives_no_quota_back(algorithm):
    store, kept = Store(), policy(algorithm, window="60s")
    store.now += 30_000
    assert store.check([kept], 5).fits
    store.now -= 5_000
    refused = store.check([kept], 1)
    assert not refused.fits
    assert refused.verdicts[0].retry_after <= 66


@pytest.mark.parametrize(("window", "least"), [("60s", 0.95), ("2s", 0.90), ("1000ms", 0.90)])
def test_strict_lets_nearly_the_whole_rate_pass_a_client_that_never_rests(window, least):
    kept, store, passed = policy("strict", 100, window), Store(), 0
    step = max(1, kept.rate.window // 1000)
    for _ in range(20_000):  # twenty windows
        store.now += step
        passed += store.check([kept], 1).fits
    assert least * 100 <= passed / 20 <= 105
