from __future__ import annotations

import pytest

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.rate import Rate, parse_rate


@pytest.mark.parametrize(
    ("text", "limit", "window"),
    [
        ("100/m", 100, 60_000),
        ("100 per minute", 100, 60_000),
        ("10/5m", 10, 300_000),
        ("20/2s", 20, 2_000),
        ("20/500ms", 20, 500),
        ("5/hour", 5, 3_600_000),
        ("7 / 2 days", 7, 172_800_000),
        (" 1/S ", 1, 1_000),
    ],
)
def test_rates_are_parsed(text, limit, window):
    assert parse_rate(text) == Rate(limit, window)


@pytest.mark.parametrize("text", ["", "100", "100/", "/m", "100/fortnight", "0/m", "1/0s", "1/32d"])
@pytest.mark.parametrize("more", ["", " and so on"])
def test_invalid_rates_are_rejected(text, more):
    with pytest.raises(ConfigurationError, match="rate"):
        parse_rate(text + more)


@pytest.mark.parametrize("text", ["100/m", "10/5m", "20/500ms", "5/h", "1/31d"])
def test_a_rate_has_a_canonical_text(text):
    assert str(parse_rate(text)) == text
