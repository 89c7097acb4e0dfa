from __future__ import annotations

import pytest

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.rate import Rate, parse


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
def test_a_rate_is_read_as_it_is_written(text, limit, window):
    assert parse(text) == Rate(limit, window)


@pytest.mark.parametrize("text", ["", "100", "100/", "/m", "100/fortnight", "0/m", "1/0s", "1/32d"])
@pytest.mark.parametrize("more", ["", " and so on"])
def test_what_is_no_rate_is_refused_with_examples(text, more):
    with pytest.raises(ConfigurationError, match="rate"):
        parse(text + more)


@pytest.mark.parametrize("text", ["100/m", "10/5m", "20/500ms", "5/h", "1/31d"])
def test_a_rate_prints_as_it_would_be_written(text):
    assert str(parse(text)) == text
