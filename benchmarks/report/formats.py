"""Formats reports as Markdown and JSON, and writes the tables of a documentation page."""

from __future__ import annotations

import os
import platform
import re
import textwrap
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.report.plot import draw_plot
from benchmarks.report.summary import Column, Quartiles, Report, compute_median_range

LIBRARIES = (
    "Django",
    "upstash-redis",
    "redis",
    "hiredis",
    "django-redis",
    "django-valkey",
    "django-vcache",
    "action0-django-acache",
)
MAX_COLUMNS = 6  # a table with more columns is turned, so that a page has room for it
NOT_MEASURED = "\N{EN DASH}"


def format_markdown(report: Report, heading: str = "###") -> str:
    """Return a table with its heading, and notes on noise and on skipped rows."""
    return f"{heading} {report.title}\n\n{format_table(report)}"


def format_table(report: Report) -> str:
    labels = [label for label in report.labels if label not in report.skipped]
    rows = [["", *(column.title for column in report.columns)]]
    rows += [
        [label, *(format_cell(report, each, label) for each in report.columns)] for label in labels
    ]
    if len(report.columns) > MAX_COLUMNS:
        rows = [list(column) for column in zip(*rows, strict=True)]
    rows[0][0] = report.corner
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---|" + "---:|" * (len(rows[0]) - 1))
    usual, largest = compute_median_range(report)
    noise = (
        f"interquartile range {usual:.0%} of the median in the middle cell, {largest:.0%} at most"
    )
    lines += ["", f"Rounds: {report.rounds}; {noise}."]
    for word, reasons in (("Skipped", report.skipped), ("Not measured", report.failed)):
        if reasons:
            texts = (f"{label} ({reason})" for label, reason in reasons.items())
            lines.append(f"{word}: {'; '.join(texts)}.")
    return "\n".join([*lines, ""])


def format_cell(report: Report, column: Column, label: str) -> str:
    figure = report.get_quartiles(column, label)
    if figure is None:
        return NOT_MEASURED
    ratio = report.get_ratio(column, label)
    return format_number(figure.median) + (f" ({ratio.median:.2f})" if ratio else "")


def format_number(number: float) -> str:
    if number >= 10 or number == int(number):
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 1 else f"{number:.2f}"


def describe_machine() -> str:
    """Return the versions of Python and of the libraries, and the machine."""
    versions = []
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            versions.append(f"{name} {version(name)}")
    python = f"Python {platform.python_version()}"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return ", ".join([machine, python, *versions])


def to_json(reports: Iterable[Report]) -> dict[str, object]:
    """Return all figures and samples; "ratio" is relative to the table's first client."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "tables": {report.name: _to_json(report) for report in reports},
    }


def _to_json(report: Report) -> dict[str, object]:
    return {
        "title": report.title,
        "unit": report.corner,
        "rounds": report.rounds,
        "baseline": report.labels[0],
        "skipped": report.skipped,
        "failed": report.failed,
        "figures": {
            column.title: {
                label: _figure_to_json(report, column, label)
                for label in report.labels
                if report.samples[column.title].get(label)
            }
            for column in report.columns
        },
    }


def _figure_to_json(report: Report, column: Column, label: str) -> dict[str, object]:
    def convert(quartiles: Quartiles | None) -> dict[str, float] | None:
        return asdict(quartiles) if quartiles else None

    return {
        "value": convert(report.get_quartiles(column, label)),
        "ratio": convert(report.get_ratio(column, label)),
        "samples": report.samples[column.title][label],
    }


def write_page(page: Path, images: Path, reports: Iterable[Report], run: str = "") -> list[str]:
    """Replace the tables of a page between their marks, and draw their plots; return the names.

    A table stands between `<!-- table NAME -->` and `<!-- end of table -->`. A report without such
    a place is not written. A plot is written as benchmark-NAME.svg. A description of the run, if
    given, replaces what stands between `<!-- run -->` and `<!-- end of run -->`.
    """
    text, written = page.read_text(), []
    if run:
        lines = textwrap.fill(run, 100, break_on_hyphens=False)
        mark = re.compile(r"(<!-- run -->\n).*?(<!-- end of run -->)", re.DOTALL)
        text = mark.sub(lambda found: f"{found[1]}\n{lines}\n\n{found[2]}", text)
    for report in reports:
        mark = re.compile(rf"(<!-- table {report.name} -->\n).*?(<!-- end of table -->)", re.DOTALL)
        block = f"\n{format_table(report)}\n"
        text, count = mark.subn(lambda found, block=block: found[1] + block + found[2], text)
        if not count:
            continue
        written.append(report.name)
        if report.plotted:
            (images / f"benchmark-{report.name}.svg").write_text(draw_plot(report))
    page.write_text(text)
    return written
