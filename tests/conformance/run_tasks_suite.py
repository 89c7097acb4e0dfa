#!/usr/bin/env python3
"""Run Django's own tests of its Tasks framework against UpstashTasks.

The tests come from the sdist of the installed Django (6.0 and later), as in run_django_suite.py.
Only the names of the backends in them are replaced, by the classes of suites/tasks_backends.py.

  run_tasks_suite.py --location http://127.0.0.1:8079 --options '{"TOKEN": "…"}'

It deletes all data of the database.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from run_django_suite import SUITES, django_version, sdist

REPLACED = {
    "django.tasks.backends.dummy.DummyBackend": "tasks_backends.DeferredTasks",
    "django.tasks.backends.immediate.ImmediateBackend": "tasks_backends.EagerTasks",
    "from django.tasks.backends.dummy import DummyBackend": (
        "from tasks_backends import DeferredTasks as DummyBackend"
    ),
    "from django.tasks.backends.immediate import ImmediateBackend": (
        "from tasks_backends import EagerTasks as ImmediateBackend"
    ),
}
# What UpstashTasks does by intention otherwise: docs/how-to/tasks.md.
EXCEPTIONS = {
    "ImmediateBackendTestCase.test_cannot_get_result": "results can be read",
    "ImmediateBackendTestCase.test_cannot_refresh_result": "results can be refreshed",
    "ImmediateBackendTestCase.test_cannot_pass_run_after": "run_after is supported",
    "ImmediateBackendTestCase.test_throws_keyboard_interrupt": (
        "a task that raises KeyboardInterrupt fails, and its worker goes on"
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--location", required=True)
    parser.add_argument("--options", default={}, type=json.loads, help="OPTIONS as JSON")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument(
        "--cache-dir", type=Path, default=Path(tempfile.gettempdir()) / "django-sdist"
    )
    args = parser.parse_args()
    source = sdist(args.python, django_version(args.python), args.cache_dir)
    work = Path(tempfile.mkdtemp(prefix="django-tasks-suite-"))
    try:
        copy_tests(source / "tests", work / "tests")
        prepare(args, work / "tests")
        report(run_tests(args, work / "tests"))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def copy_tests(source: Path, tests: Path) -> None:
    """Copy Django's test runner and the tests of tasks."""
    tests.mkdir()
    for path in source.iterdir():
        if path.is_file():
            shutil.copy(path, tests)
    for name in ("tasks", "templates"):
        shutil.copytree(source / name, tests / name)


def prepare(args: argparse.Namespace, tests: Path) -> None:
    entry = {"BACKEND": "continuum_upstash.backend.CacheBackend", "LOCATION": args.location}
    entry["OPTIONS"] = args.options
    locmem = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    caches = {"default": locmem, "federation": entry}
    text = f"from test_sqlite import *\nCACHES = {caches!r}\n"
    (tests / "suite_settings.py").write_text(text)
    shutil.copy(SUITES / "tasks_backends.py", tests)
    replaced = 0
    for path in (tests / "tasks").glob("test_*.py"):
        text = path.read_text()
        for old, new in REPLACED.items():
            replaced += text.count(old)
            text = text.replace(old, new)
        path.write_text(text)
    assert replaced > len(REPLACED)


def run_tests(args: argparse.Namespace, tests: Path) -> str:
    command = [args.python, "-W", "ignore::ResourceWarning", "runtests.py", "-v", "2"]
    paths = [str(tests), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    run = subprocess.run(
        [*command, "--settings=suite_settings", "--parallel=1", "tasks"],
        cwd=tests,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return run.stdout + run.stderr


def report(output: str) -> None:
    ran = re.search(r"^Ran (\d+) tests? in", output, re.MULTILINE)
    if ran is None:
        sys.exit(f"{output[-6000:]}\nrun_tasks_suite: the run gave no result")
    bad = set(re.findall(r"^(?:FAIL|ERROR): \w+ \(tasks\.\w+\.(\w+\.\w+)\)", output, re.MULTILINE))
    for name in sorted(bad & EXCEPTIONS.keys()):
        print(f"  exception: {name}: {EXCEPTIONS[name]}")
    for name in sorted(EXCEPTIONS.keys() - bad):
        print(f"  PASSED, although it is an exception: {name}")
    for name in sorted(bad - EXCEPTIONS.keys()):
        print(f"  FAILED {name}")
    failed = len(bad - EXCEPTIONS.keys())
    expected = len(bad & EXCEPTIONS.keys())
    total = int(ran[1])
    print(f"{total - failed - expected} passed, {failed} failed, {expected} exceptions of {total}")
    if failed or bad != EXCEPTIONS.keys():
        sys.exit(output[-6000:])


if __name__ == "__main__":
    main()
