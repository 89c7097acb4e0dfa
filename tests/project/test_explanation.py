"""The tests that the explanations name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["guarantees", "security"])
def test_the_tests_that_a_page_names_exist(page):
    text = (ROOT / "docs" / "explanation" / f"{page}.md").read_text()
    named = set(re.findall(r"`(tests/[^`]+)`", text))
    assert named
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_each_guarantee_names_its_tests():
    text = (ROOT / "docs" / "explanation" / "guarantees.md").read_text()
    features = re.findall(r"^\| \*\*(.+?)\*\*(.*?) \|", text, re.MULTILINE)
    proven = re.findall(r"^\| ([^|*]+?) \| `tests/", text, re.MULTILINE)
    assert len(features) >= 14
    assert [name + rest for name, rest in features] == proven
