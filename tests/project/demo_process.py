"""Starts `make demo` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "example_project.demo", "--port", "0")


@dataclass
class Demo:
    process: subprocess.Popen[str]
    output: str
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = re.search(r"Site +(\S+)", self.output)[1]

    @property
    def password(self) -> str:
        return re.search(r"password (\S+)", self.output)[1]


def make_environment(state: Path, **more: str) -> dict[str, str]:
    """Return the environment of the tests, without variables that name a database."""
    names = re.compile(r"(.*_)?(UPSTASH|KV|CONTINUUM|DJANGO)_|REDIS_URL")
    plain = {name: value for name, value in os.environ.items() if not names.match(name)}
    return plain | {"DEMO_STATE": str(state)} | more


@contextmanager
def start_demo(state: Path, command: tuple[str, ...] = COMMAND, **more: str) -> Iterator[Demo]:
    process = subprocess.Popen(
        command, cwd=ROOT, env=make_environment(state, **more), stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield Demo(process, "".join(read_until(process.stdout, "Ctrl-C")))
        finally:
            process.send_signal(signal.SIGINT)


def read_until(lines: Iterable[str], word: str) -> Iterator[str]:
    """Yield lines up to the first one with the word."""
    for line in lines:
        yield line
        if word in line:
            return


def read_demo_error(state: Path, *arguments: str, **more: str) -> str:
    """Run a demo that cannot start; return its message."""
    run = subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=make_environment(state, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1, run
    assert "Traceback" not in run.stderr
    assert "Fatal" not in run.stderr
    return run.stderr
