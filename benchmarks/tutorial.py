"""Builds the site of docs/tutorial.md stage by stage, and measures its requests.

    python -m benchmarks.tutorial [--write]

The code is that of the page. Each stage is a Django project in a process of its own. The emulator
counts what Upstash would bill. With ``--write``, the tables of the page are replaced.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree

import django
from django.conf import settings
from django.core.management import call_command

from continuum_upstash.emulator.process import Emulator, running

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
STAGES = range(1, 9)
ROUNDS = 9
HEADER = "| Request | ms | queries | billed |\n|---|---:|---:|---:|"


@dataclass(frozen=True, slots=True)
class Row:
    request: str
    status: int
    milliseconds: float
    queries: int
    billed: int


def read_blocks(stage: int) -> list[tuple[str, str]]:
    """Return the file and the code of each block of a stage."""
    text = PAGE.read_text().split(f"\n## {stage}. ")[1].split("\n## ")[0]
    blocks = re.findall(r"^```(?:python|html\+django)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(re.findall(r"[^#{\s]+", block)[0], block) for block in blocks]


def start_project(folder: Path) -> None:
    """Create the site of stage 1, with its database."""
    call_command("startproject", "mysite", str(folder))
    (folder / "shop").mkdir()
    call_command("startapp", "shop", str(folder / "shop"))
    add_stage(folder, 1)
    code = (
        "import django; django.setup(); from django.core.management import call_command as call;"
        "call('makemigrations', 'shop', verbosity=0); call('migrate', verbosity=0);"
        "exec(open('fill.py').read())"
    )
    run_python("-c", code, folder=folder)


def add_stage(folder: Path, stage: int) -> None:
    for name, block in read_blocks(stage):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        before = file.read_text() if file.suffix == ".py" and file.exists() else ""
        file.write_text(before + "\n" + block)


def measure_stage(
    first_stage: Path, stage: int, emulator: Emulator, folder: Path, rounds: int = ROUNDS
) -> list[Row]:
    """Build the site of a stage in a folder that does not exist, and measure its requests."""
    build_stage(first_stage, stage, folder)
    emulator.reset()
    arguments = [str(stage), str(rounds), emulator.addresses.format_line()]
    module = "benchmarks.tutorial_requests"
    result = run_python("-m", module, *arguments, folder=folder, **get_variables(emulator))
    return [Row(*row) for row in json.loads(result)]


def build_stage(first_stage: Path, stage: int, folder: Path) -> None:
    copytree(first_stage, folder)
    for number in range(2, stage + 1):
        add_stage(folder, number)


def get_variables(emulator: Emulator) -> dict[str, str]:
    return {
        "UPSTASH_REDIS_REST_URL": emulator.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": emulator.token,
    }


def run_python(*arguments: str, folder: Path, **environment: str) -> str:
    names = re.compile(r"(.*_)?(UPSTASH|KV|DJANGO)_|REDIS_URL")
    inherited = {name: value for name, value in os.environ.items() if not names.match(name)}
    path = {
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "DJANGO_SETTINGS_MODULE": "mysite.settings",
    }
    if "startproject" in arguments:
        del path["DJANGO_SETTINGS_MODULE"]
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=inherited | path | environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed: {process.stderr}")
    return process.stdout


def format_table(rows: list[Row]) -> str:
    lines = [
        f"| {row.request} | {row.milliseconds:.{0 if row.milliseconds >= 10 else 1}f} "
        f"| {row.queries} | {row.billed} |"
        for row in rows
    ]
    return "\n".join([HEADER, *lines])


def read_table(stage: int) -> list[list[str]]:
    """Return the cells of the table of a stage, as the page has them."""
    table = re.search(rf"<!-- stage {stage} -->\n(.*?)<!-- end", PAGE.read_text(), re.DOTALL)
    assert table is not None
    lines = [line for line in table[1].splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def write_table(stage: int, table: str) -> None:
    mark = f"<!-- stage {stage} -->\n"
    before, after = PAGE.read_text().split(mark)
    rest = after[after.index("<!-- end of stage") :]
    PAGE.write_text(f"{before}{mark}\n{table}\n\n{rest}")


def main() -> None:
    settings.configure()
    django.setup()
    with tempfile.TemporaryDirectory() as name, running() as emulator:
        first_stage = Path(name) / "first"
        first_stage.mkdir()
        start_project(first_stage)
        for stage in STAGES:
            rows = measure_stage(first_stage, stage, emulator, Path(name) / str(stage))
            table = format_table(rows)
            print(f"\nStage {stage}\n{table}")
            if "--write" in sys.argv:
                write_table(stage, table)


if __name__ == "__main__":
    main()
