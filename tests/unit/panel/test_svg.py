from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.panel.svg import choose_axis_max, draw_bars, draw_line, draw_points


def test_a_line_has_gaps_for_missing_values_and_points_for_isolated_values():
    values = [0.0, 5.0, None, 10.0, None]
    assert draw_line(values, top=10.0) == "M10.00 100.00 L30.00 50.00"
    assert draw_points(values, top=10.0) == "M70.00 0.00h0"


def test_a_bar_is_in_its_slot_and_has_a_minimum_height():
    path = draw_bars([50, 0, 0.001, 200], top=100)
    assert re.findall(r"M([\d.]+) 100v-([\d.]+)h([\d.]+)", path) == [
        ("2.50", "50.00", "20.00"),
        ("52.50", "2.00", "20.00"),
        ("77.50", "100.00", "20.00"),
    ]


def test_without_values_nothing_is_drawn():
    assert [draw_line([None], 1.0), draw_points([None], 1.0), draw_bars([0, 0], 1.0)] == [""] * 3


@pytest.mark.parametrize(
    ("values", "top"),
    [([], 1.0), ([None], 1.0), ([0.4], 1.0), ([1.1], 2.0), ([230], 500), ([7, 3], 10)],
)
def test_an_axis_ends_at_a_round_number(values, top):
    assert choose_axis_max(values, 1.0) == pytest.approx(top)


@given(st.floats(1e-6, 1e12))
def test_an_axis_ends_at_or_slightly_above_the_highest_value(value):
    top = choose_axis_max([value], 1e-9)
    assert value <= top * (1 + 1e-6)
    assert top <= value * 2.5 * (1 + 1e-6)
