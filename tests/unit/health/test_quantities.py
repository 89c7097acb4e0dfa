from __future__ import annotations

import pytest

from continuum_upstash.health.quantities import format_percentage


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "—"),
        (0.0, "0 %"),
        (0.0004, "< 0.1 %"),
        (0.001, "0.1 %"),
        (0.8734, "87.3 %"),
        (1.0, "100 %"),
    ],
)
def test_a_small_share_is_not_shown_as_zero(share, text):
    assert format_percentage(share) == text
