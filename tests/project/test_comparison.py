"""The figures of the landing page and the comparison are those of the page of the benchmarks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BENCHMARKS = (DOCS / "explanation" / "performance.md").read_text()

# The rows of both pages, and the table and the column or row with their figures.
ROWS = {
    "GET of 100 B, CPU µs": ("tcp", "GET 100 B"),
    "SET of 100 B, CPU µs": ("tcp", "SET 100 B"),
    "SET of 1 MB, CPU µs": ("tcp", "SET 1 MB"),
    "`get_many` of 100 keys, CPU µs": ("tcp", "get_many 100"),
    "`set_many` of 100 keys, CPU µs": ("tcp", "set_many 100"),
    "32 threads, calls/s": ("tcp-threads", "32 threads, calls/s"),
    "64 tasks, calls/s": ("tcp-tasks", "64 tasks, calls/s"),
    "ASGI site, requests/s": ("asgi", "requests/s"),
    "WSGI site with threads, requests/s": ("gunicorn", "requests/s"),
    "Import and first GET, CPU ms": ("cold", "import and first GET, CPU ms"),
    "Computations in a stampede of 64 calls": ("stampede", "computations"),
    "Commands in a stampede of 64 calls": ("stampede", "commands"),
}
OWN_NAMES = {
    "cold": "**CacheBackend**, TCP, in Django",
    "stampede": "**continuum-upstash**, grace=60",
    "asgi": "**continuum-upstash**",
    "gunicorn": "**continuum-upstash**",
}
OTHER_NAMES = {"cold": "{}, TCP, in Django"}


def read_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def read_benchmark(name: str) -> dict[tuple[str, str], str]:
    """Return the figures of a table without their ratios, by row and column, in both orders."""
    text = BENCHMARKS.split(f"<!-- table {name} -->")[1].split("<!-- end")[0]
    header, _, *rows = read_rows(text)
    figures = {}
    for row in rows:
        for column, cell in zip(header[1:], row[1:], strict=True):
            figure = re.sub(r" \(.*", "", cell)
            figures[row[0], column] = figures[column, row[0]] = figure
    return figures


@pytest.mark.parametrize("page", ["index.md", "explanation/comparison.md"])
def test_the_figures_are_those_of_the_benchmarks(page):
    columns, compared = [], 0
    for row in read_rows((DOCS / page).read_text()):
        if row[0] in ROWS:
            name, case = ROWS[row[0]]
            benchmark = read_benchmark(name)
            other = OTHER_NAMES.get(name, "{}")
            clients = [OWN_NAMES.get(name, "**CacheBackend**"), *map(other.format, columns[1:])]
            assert row[1:] == [benchmark[client, case] for client in clients], row[0]
            compared += 1
        elif "---" not in row[1]:
            columns = row[1:]
    assert compared >= 4


def test_the_comparison_names_the_versions_that_were_measured():
    run = BENCHMARKS.split("<!-- run -->")[1].split("<!-- end")[0].replace("\n", " ")
    page = (DOCS / "explanation" / "comparison.md").read_text().replace("\n", " ")
    for peer in ("django-redis", "django-valkey", "django-vcache"):
        assert re.search(rf"{peer} [\d.]+\d", run)[0] in page
