"""The figures of the benchmarks, and a run of the smallest table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import gate, gate_server, runner
from benchmarks.report.formats import format_markdown, format_number, to_json, write_page
from benchmarks.report.plot import draw_plot
from benchmarks.report.progress import Progress
from benchmarks.report.summary import (
    Column,
    Quartiles,
    Report,
    compute_median_range,
    compute_percentile,
    compute_quartiles,
    compute_ratio,
)
from benchmarks.runner import Effort
from benchmarks.servers import Servers
from benchmarks.tables import LOCAL, Table

ROOT = Path(__file__).parents[2]
SERVERS = Servers(http="", https="", https_1ms="", redis="", redis_tls="", ca_file="")


def make_report(**changes):
    values = {
        "name": "tiny",
        "title": "GET & SET",
        "corner": "CPU µs",
        "columns": (Column("GET", "CPU µs"), Column("runs", has_ratio=False)),
        "labels": ("bare", "**ours**", "peer", "slow"),
        "samples": {
            "GET": {"bare": [10.0, 20.0, 10.0], "**ours**": [15.0, 25.0, 40.0], "slow": []},
            "runs": {"bare": [1.0], "**ours**": [1.0], "slow": [64.0]},
        },
        "skipped": {"peer": "peer is not installed"},
        "failed": {"slow, GET": "6.0 s for 1 call"},
        "plotted": ("GET",),
    }
    return Report(**(values | changes))


@pytest.mark.parametrize(
    ("values", "quartiles"),
    [
        ([3.0], Quartiles(3.0, 3.0, 3.0)),
        ([2.0, 1.0], Quartiles(1.5, 1.25, 1.75)),
        ([5.0, 1.0, 2.0, 4.0, 3.0], Quartiles(3.0, 2.0, 4.0)),
    ],
)
def test_quartiles(values, quartiles):
    assert compute_quartiles(values) == quartiles


def test_the_interquartile_range_is_relative_to_the_median():
    assert Quartiles(4.0, 3.0, 5.0).relative_range == 0.5
    assert Quartiles(0.0, 0.0, 1.0).relative_range == 0.0


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds():
    # The ratio of the medians would be 2.5.
    ratio = compute_ratio([15.0, 25.0, 40.0], [10.0, 20.0, 10.0])
    assert ratio == Quartiles(1.5, 1.375, 2.75)
    assert compute_ratio([1.0], [0.0]) is None
    with pytest.raises(ValueError, match="shorter"):
        compute_ratio([1.0, 2.0], [1.0])


def test_percentiles():
    values = [float(number) for number in range(100, 0, -1)]
    assert [compute_percentile(values, percent) for percent in (0, 50, 99, 100)] == [1, 50, 99, 100]
    assert compute_percentile([7.0], 99) == 7.0


def test_the_range_of_a_report_counts_each_cell_once():
    assert compute_median_range(make_report()) == (0.0, pytest.approx(12.5 / 25))
    assert compute_median_range(make_report(samples={"GET": {}, "runs": {}})) == (0.0, 0.0)


def test_a_table_has_ratios_and_names_what_is_missing():
    assert format_markdown(make_report()).splitlines() == [
        "### GET & SET",
        "",
        "| CPU µs | GET | runs |",
        "|---|---:|---:|",
        "| bare | 10 (1.00) | 1 |",
        "| **ours** | 25 (1.50) | 1 |",
        "| slow | \N{EN DASH} | 64 |",
        "",
        "Rounds: 3; interquartile range 0% of the median in the middle cell, 50% at most.",
        "Skipped: peer (peer is not installed).",
        "Not measured: slow, GET (6.0 s for 1 call).",
    ]


def test_a_table_with_many_columns_is_turned():
    columns = tuple(Column(f"GET {number}") for number in range(7))
    samples = {column.title: {"bare": [2.0], "**ours**": [3.0]} for column in columns}
    report = make_report(
        columns=columns, samples=samples, labels=("bare", "**ours**"), skipped={}, failed={}
    )
    lines = format_markdown(report).splitlines()
    assert lines[2:5] == [
        "| CPU µs | bare | **ours** |",
        "|---|---:|---:|",
        "| GET 0 | 2 (1.00) | 3 (1.50) |",
    ]
    assert lines[10] == "| GET 6 | 2 (1.00) | 3 (1.50) |"


@pytest.mark.parametrize(
    ("number", "text"), [(1234.5, "1,234"), (10.4, "10"), (9.96, "10.0"), (0.5, "0.50"), (2.0, "2")]
)
def test_numbers(number, text):
    assert format_number(number) == text


def test_json_has_all_samples():
    table = json.loads(json.dumps(to_json([make_report()])))["tables"]["tiny"]
    assert table["skipped"] == {"peer": "peer is not installed"}
    ours = table["figures"]["GET"]["**ours**"]
    assert ours["samples"] == [15.0, 25.0, 40.0]
    assert ours["value"] == {"median": 25.0, "lower": 20.0, "upper": 32.5}
    assert ours["ratio"]["median"] == 1.5
    assert table["figures"]["runs"]["slow"]["ratio"] is None


def test_a_plot_is_an_image_with_one_bar_for_each_measured_row():
    image = ET.fromstring(draw_plot(make_report()))
    bars = image.findall("{*}rect[@x='240']")
    assert [bar.get("class") for bar in bars] == ["bar", "bar own"]
    assert float(bars[1].get("width")) / float(bars[0].get("width")) == pytest.approx(2.5, abs=0.01)
    texts = [each.text for each in image.findall("{*}text")]
    assert texts[:3] == ["GET & SET", "GET, CPU µs", "bare"]
    assert "25 (1.50x)" in texts
    assert "prefers-color-scheme: dark" in image.findtext("{*}style")


def test_a_page_receives_the_tables_that_it_has_marks_for(tmp_path):
    page = tmp_path / "page.md"
    run_marks = "<!-- run -->\nold\n<!-- end of run -->\n"
    page.write_text(f"A\n<!-- table tiny -->\nold\n<!-- end of table -->\nB\n{run_marks}")
    reports = [make_report(), make_report(name="other")]
    assert write_page(page, tmp_path, reports, "A full run.") == ["tiny"]
    text = page.read_text()
    assert text.startswith("A\n<!-- table tiny -->\n\n| CPU µs |")
    after = "<!-- end of table -->\nB\n<!-- run -->\n\nA full run.\n\n<!-- end of run -->\n"
    assert text.endswith(f"\n{after}")
    assert "old" not in text
    assert [path.name for path in tmp_path.glob("*.svg")] == ["benchmark-tiny.svg"]


def test_a_tiny_run_measures_the_clients_that_are_installed():
    clients = (*LOCAL, ("absent", "benchmarks.clients.absent.Client"))
    table = Table("Local store", "local", clients, ("GET 100 B",), ("cpu", "rate"))
    report = runner.measure("local", table, SERVERS, Effort(2, 0.001, 30.0), Progress(30.0))
    assert report.skipped == {"absent": "benchmarks.clients.absent is not installed"}
    assert [*map(len, report.samples["GET 100 B"].values())] == [2, 2, 0]
    first, second = format_markdown(report).splitlines()[4:6]
    assert first.startswith("| LocMemCache |")
    assert second.startswith("| **CacheBackend**, local |")
    assert first.count("(1.00)") == 2


def test_the_help_states_a_time_limit_for_each_group():
    command = [sys.executable, "-m", "benchmarks", "--help"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "rest          150 s   60 s  REST over TLS, one call at a time" in run.stdout


def test_the_gate_names_the_ratio_the_limit_and_the_next_command():
    ratios = [2.0, 2.1, 2.2, 9.0, 1.9]  # one disturbed round changes nothing
    samples = {"GET": {"bare socket": [10.0] * 5, "**ours**": [10 * each for each in ratios]}}
    report = make_report(
        name="rest",
        columns=(Column("GET"),),
        labels=("bare socket", "**ours**"),
        samples=samples,
        skipped={},
    )
    assert gate.find_excesses(report, (2.1,)) == []
    (message,) = gate.find_excesses(report, (2.05,))
    assert message.startswith("GET & SET, GET: ours needs 2.10 times the CPU time of bare socket")
    assert "the limit is 2.05" in message
    assert message.endswith("python -m benchmarks rest --quick")


def test_each_column_of_the_gate_has_a_limit():
    assert gate.LIMITS.keys() == gate.TABLES.keys()
    for name, table in gate.TABLES.items():
        assert len(gate.LIMITS[name]) == len(table.list_columns())


def test_the_server_of_the_gate_has_the_formats_of_the_service():
    run = gate_server.run_command
    assert [run(["SET", "a", "1"]), run(["setex", "b", "60", b"2"])] == ["OK", "OK"]
    replies = run(["MGET", "a", "b", "absent"])
    assert gate_server.encode_resp(replies) == b"*3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n"
    assert gate_server.encode_resp("OK") == b"+OK\r\n"
    assert gate_server.to_json(replies, is_base64=True) == ["MQ==", "Mg==", None]
    assert gate_server.to_json(replies, is_base64=False) == ["1", "2", None]
