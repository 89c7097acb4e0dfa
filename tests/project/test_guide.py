"""docs/reference/guide.md: no section of the guide is missing, and each row leads to something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from example_project.guide.__main__ import STEPS
from tests.project.sections import list_sections

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "guide.md"
SECTIONS = 41  # of the guide
ROWS = [
    line.strip("|").split("|") for line in re.findall(r"^\| \d.*$", PAGE.read_text(), re.MULTILINE)
]


def test_no_section_is_missing():
    assert [int(row[0]) for row in ROWS] == list(range(1, SECTIONS + 1))
    assert len({row[1] for row in ROWS}) == SECTIONS


def test_the_steps_are_those_of_the_example():
    assert f"one of {', '.join(STEPS)}" in PAGE.read_text()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1].strip())
def test_a_row_leads_to_pages_and_files_that_exist(row):
    links = re.findall(r"\]\(([^)]+)\)", row[2])
    files = re.findall(r"`([\w./-]+/[\w./-]+|\w+\.toml)`", row[2])
    assert links or files
    for link in links:
        path, _, section = link.partition("#")
        page = PAGE.parent / path if path else PAGE
        assert page.exists(), link
        assert not section or section in list_sections(page), link
    assert [file for file in files if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1].strip())
def test_a_row_names_tests_that_exist(row):
    tests = re.findall(r"`(tests/[\w/.]+)::(\w+)`", row[3])
    assert tests
    assert re.sub(r"`[^`]+`", "", row[3]).strip(" ,") == "", "a test is named by file and function"
    for path, name in tests:
        assert re.search(rf"def {name}\(", (ROOT / path).read_text()), name
