"""docs/emulator.md: its tests run, and its tables are complete."""

import re
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

from continuum_upstash.emulator.cli import add_arguments
from continuum_upstash.emulator.faults.model import TCP_KINDS, FaultKind

PAGE = (Path(__file__).parents[3] / "docs" / "emulator.md").read_text()


def test_the_example_tests_pass(tmp_path):
    (snippet,) = re.findall(r"```python\n# test_visits.py\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "test_visits.py").write_text(snippet)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:django", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "2 passed" in run.stdout, run.stdout + run.stderr


def test_all_options_are_documented():
    parser = ArgumentParser(add_help=False)
    add_arguments(parser)
    options = {action.option_strings[0] for action in parser._actions}
    table = PAGE.partition("## Options")[2].partition("## ")[0]
    assert set(re.findall(r"`(--[a-z-]+)`", table)) == options


def test_all_faults_are_documented_with_their_sides():
    rows = re.findall(r"^\| `([a-z]+)` \| (both|REST) \|", PAGE, re.MULTILINE)
    assert dict(rows) == {kind: "both" if kind in TCP_KINDS else "REST" for kind in FaultKind}
