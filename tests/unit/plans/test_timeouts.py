from __future__ import annotations

import pytest

from continuum_upstash.plans.timeouts import DEFAULT_TTL, Timeouts, to_ms


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, None),
        (0, 0),
        (-5, 0),
        (1, 1000),
        (0.25, 250),
        (0.0001, 1),
        (1e-9, 1),
        (float("inf"), 2**52),
        (10**400, 2**52),  # no float is as large
    ],
)
def test_seconds_are_rounded_up_to_milliseconds(seconds, expected):
    assert to_ms(seconds) == expected


def test_values_that_are_not_a_time_are_rejected():
    with pytest.raises(ValueError, match="NaN"):
        to_ms(float("nan"))
    with pytest.raises(TypeError):
        to_ms("5")


def test_the_longest_prefix_sets_the_timeout_of_keys_without_one():
    by_prefix = (("query:", 5), ("query:slow:", 60), ("permanent:", None))
    timeouts = Timeouts(300, by_prefix)
    assert timeouts.get_ttl_ms("query:a", DEFAULT_TTL) == 5_000
    assert timeouts.get_ttl_ms("query:slow:a", DEFAULT_TTL) == 60_000
    assert timeouts.get_ttl_ms("permanent:a", DEFAULT_TTL) is None
    assert timeouts.get_ttl_ms("other", DEFAULT_TTL) == 300_000
    assert timeouts.get_ttl_ms(5, DEFAULT_TTL) == 300_000
    assert timeouts.get_ttl_ms("query:a", 1) == 1_000
    assert timeouts.get_ttl_ms("query:a", None) is None


def test_keys_set_together_are_grouped_by_their_timeout():
    timeouts = Timeouts(300, (("query:", 5), ("permanent:", None)))
    values = {"query:a": 1, "b": 2, 3: 3, "query:c": 4, "permanent:d": 5}
    names = [f"shop:{key}" for key in values]
    assert timeouts.group_by_ttl_ms(values, names, DEFAULT_TTL) == {
        5_000: {"shop:query:a": 1, "shop:query:c": 4},
        300_000: {"shop:b": 2, "shop:3": 3},
        None: {"shop:permanent:d": 5},
    }
    everything = dict(zip(names, values.values(), strict=True))
    assert timeouts.group_by_ttl_ms(values, names, 1) == {1_000: everything}
    assert timeouts.group_by_ttl_ms({}, [], DEFAULT_TTL) == {}
