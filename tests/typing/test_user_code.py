"""mypy and pyright accept the right uses, and report each wrong one on its line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
RIGHT, WRONG = FOLDER / "right_uses.py", FOLDER / "wrong_uses.py"

# (file name, line) -> the messages of its errors
Errors = dict[tuple[str, int], str]


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", *arguments, str(RIGHT), str(WRONG)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode in {0, 1}, result.stdout + result.stderr
    return result.stdout


def run_mypy() -> Errors:
    errors: Errors = defaultdict(str)
    for line in run("mypy", "--output", "json").splitlines():
        error = json.loads(line)
        errors[Path(error["file"]).name, error["line"]] += error["message"] + "\n"
    return errors


def run_pyright() -> Errors:
    errors: Errors = defaultdict(str)
    report = json.loads(run("pyright", "--pythonpath", sys.executable, "--outputjson"))
    for error in report["generalDiagnostics"]:
        line = error["range"]["start"]["line"] + 1
        errors[Path(error["file"]).name, line] += error["message"] + "\n"
    return errors


def read_expectations() -> dict[int, str]:
    found = {}
    for number, line in enumerate(WRONG.read_text().splitlines(), 1):
        if comment := re.search(r"# expect: (.+)", line):
            found[number] = comment[1]
    return found


@pytest.mark.parametrize("checker", [run_mypy, run_pyright])
def test_right_uses_pass_and_wrong_uses_are_reported(checker):
    errors = checker()
    expected = {(WRONG.name, number): text for number, text in read_expectations().items()}
    assert {place: errors[place] for place in errors.keys() - expected.keys()} == {}
    missed = {place: text for place, text in expected.items() if text not in errors.get(place, "")}
    assert missed == {}
    assert len(expected) > 20
