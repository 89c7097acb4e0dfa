"""The tutorial's site is built from its page, and its figures are compared with its tables."""

from __future__ import annotations

import pytest

from benchmarks import tutorial

pytestmark = pytest.mark.slow

RUSH = 4  # the stage whose billed commands depend on the time of a computation
QUERIES = 21  # of the page without a cache


@pytest.fixture(scope="module")
def first_stage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tutorial")
    tutorial.start_project(folder)
    return folder


@pytest.mark.parametrize("stage", [stage for stage in tutorial.STAGES if stage != RUSH])
def test_a_stage_has_the_figures_of_the_page(stage, first_stage, upstash_emulator, tmp_path):
    rows = tutorial.measure_stage(first_stage, stage, upstash_emulator, tmp_path / "site", rounds=1)
    measured = [[row.request, str(row.queries), str(row.billed)] for row in rows]
    assert measured == [[cells[0], *cells[2:]] for cells in tutorial.read_table(stage)]


def test_four_processes_compute_a_value_once(first_stage, upstash_emulator, tmp_path):
    rows = tutorial.measure_stage(first_stage, RUSH, upstash_emulator, tmp_path / "site", rounds=1)
    without_options, with_options, next_request = rows
    assert without_options.queries % QUERIES == 0
    assert with_options.queries == QUERIES
    assert (next_request.queries, next_request.billed) == (0, 1)
    titles = [cells[0] for cells in tutorial.read_table(RUSH)]
    assert [row.request for row in rows] == titles


@pytest.mark.parametrize("command", [["check"], ["cache_doctor"]])
def test_the_last_stage_has_no_error(command, first_stage, upstash_emulator, tmp_path):
    upstash_emulator.reset()
    tutorial.build_stage(first_stage, tutorial.STAGES[-1], tmp_path / "site")
    variables = tutorial.get_variables(upstash_emulator)
    tutorial.run_python("manage.py", *command, folder=tmp_path / "site", **variables)


def test_the_page_has_a_table_for_each_stage():
    assert all(tutorial.read_table(stage) for stage in tutorial.STAGES)
    page = tutorial.PAGE.read_text()
    assert page.count("\n## ") == len(tutorial.STAGES) + 1  # "What next"
