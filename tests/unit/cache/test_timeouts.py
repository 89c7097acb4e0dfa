from __future__ import annotations

import pytest
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from continuum_upstash.cache.timeouts import Timeouts
from continuum_upstash.plans.keyvalue import to_ms


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
        (10**30, 2**52),
    ],
)
def test_seconds_become_milliseconds_and_a_positive_time_never_none(seconds, expected):
    assert to_ms(seconds) == expected


def test_what_is_no_time_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        to_ms(float("nan"))
    with pytest.raises(TypeError):
        to_ms("5")


def test_the_longest_prefix_decides_for_keys_without_a_timeout():
    timeouts = Timeouts(300, (("query:", 5), ("query:slow:", 60), ("for ever:", None)))
    assert timeouts.get_ttl_ms("query:a", DEFAULT_TIMEOUT) == 5_000
    assert timeouts.get_ttl_ms("query:slow:a", DEFAULT_TIMEOUT) == 60_000
    assert timeouts.get_ttl_ms("for ever:a", DEFAULT_TIMEOUT) is None
    assert timeouts.get_ttl_ms("other", DEFAULT_TIMEOUT) == 300_000
    assert timeouts.get_ttl_ms(5, DEFAULT_TIMEOUT) == 300_000
    assert timeouts.get_ttl_ms("query:a", 1) == 1_000
    assert timeouts.get_ttl_ms("query:a", None) is None
