#!/usr/bin/env python3
"""Run the tests of django-tasks-db against UpstashTasks.

The tests come from the sdist of django-tasks-db; REPLACED lists what is changed in them. The
package itself is replaced by suites/tasks_db, which shows tasks as rows and runs federation_worker.

  run_tasks_db_suite.py --location http://127.0.0.1:8079 --options '{"TOKEN": "…"}'

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
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

VERSION = "0.13.0"
SUITE = Path(__file__).parent / "suites" / "tasks_db"
MANAGE = "from django.core.management import execute_from_command_line\nimport sys\n"
MANAGE += "if __name__ == '__main__': execute_from_command_line(sys.argv)\n"

REPLACED = {
    # There are no SQL queries to count.
    "self.assertNumQueries(": "contextlib.nullcontext(",
    # A worker starts within a second, and stops within half of one, only on an idle machine.
    "time.sleep(self.WORKER_STARTUP_TIME)": "wait_for_workers(self.processes)",
    "process.wait(timeout=0.5)": "process.wait(timeout=20)",
    "process.wait(timeout=2)": "process.wait(timeout=20)",
    "process.wait(timeout=5)": "process.wait(timeout=20)",
    "from tests import tasks as test_tasks": (
        "from tests import tasks as test_tasks\nfrom tests.waiting import wait_for_workers"
    ),
}

# Why tests are not run or do not pass, by the name of a test or of a test case.
EXCEPTIONS = {
    "DatabaseBackendPruneTaskResultsTestCase": "results expire by RESULT_TTL: no command prunes",
    "ConnectionExclusiveTranscationTestCase": "transactions of SQL databases",
    "DatabaseTaskResultTestCase": "locks of SQL rows",
    "DBTaskResultOrderingTestCase": "the order of an SQL index",
    "AdminTestCase": "the admin of a model",
    "test_index_scan_for_ready": "an SQL index",
    "test_priority_range_check": "an SQL constraint",
    "test_run_after_null_0016_migration": "a migration",
    "test_database_backend_app_missing": "there are no migrations: the app may be missing",
    "test_task_name": "a property of the model",
    "test_custom_id_function": "the option id_function",
    "test_unknown_id_function": "the option id_function",
    "test_postgres_db_id_function": "the option id_function",
    "test_postgres_id_function_expression": "the option id_function",
    "test_worker_with_locked_rows": "locks of SQL rows",
    "test_run_after_priority": "a run_after in the past does not change the order of enqueues",
    "test_complex_return_value": "the error is Django's, with another text, as in Django's tests",
    "test_verbose_logging": "the lines of federation_worker",
    "test_exclude_queues_requires_processing_all_queues": "an option of db_worker",
    "test_unknown_backend": "the text of db_worker; federation_worker has its own test",
    "test_incorrect_backend": "the text of db_worker; federation_worker has its own test",
    "test_negative_interval": "an option of db_worker",
    "test_infinite_interval": "an option of db_worker",
    "test_fractional_interval": "an option of db_worker",
    "test_zero_interval": "an option of db_worker",
    "test_negative_max_tasks": "the text of db_worker",
    "test_zero_max_tasks": "the text of db_worker",
    "test_too_long_worker_id": "an option of db_worker",
    "test_empty_worker_id": "an option of db_worker",
    "test_doesnt_process_different_backend": "db_worker skips other backends, ours refuses them",
    "test_repeat_ctrl_c": "a second signal kills the worker: the task is run again, and not FAILED",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--location", required=True)
    parser.add_argument("--options", default={}, type=json.loads, help="OPTIONS as JSON")
    parser.add_argument(
        "--cache-dir", type=Path, default=Path(tempfile.gettempdir()) / "django-sdist"
    )
    parser.add_argument("--k", action="append", default=[], help="unittest -k pattern")
    args = parser.parse_args()
    source = download(args.cache_dir)
    work = Path(tempfile.mkdtemp(prefix="django-tasks-db-suite-"))
    try:
        prepare(source, work)
        entry = {"BACKEND": "continuum_upstash.backend.CacheBackend", "LOCATION": args.location}
        cache = json.dumps({**entry, "OPTIONS": args.options})
        report(run_tests(work, cache, args.k))
    finally:
        shutil.rmtree(work, ignore_errors=True)


def download(cache_dir: Path) -> Path:
    """Return the unpacked sdist; concurrent runs may fetch it at once."""
    root = cache_dir / f"django_tasks_db-{VERSION}"
    if root.exists():
        return root
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir) as fresh:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-binary", ":all:"]
        package = f"django-tasks-db=={VERSION}"
        subprocess.run([*command, "--no-deps", "-d", fresh, package], check=True)
        (archive,) = Path(fresh).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(fresh, filter="data")
        try:
            (Path(fresh) / root.name).rename(root)
        except OSError:
            if not root.exists():
                raise
    return root


def prepare(source: Path, work: Path) -> None:
    package, tests = work / "django_tasks_db", work / "tests"
    commands = package / "management" / "commands"
    commands.mkdir(parents=True)
    tests.mkdir()
    for folder in (package / "management", commands, tests):
        (folder / "__init__.py").touch()
    for name in ("__init__.py", "models.py"):
        shutil.copy(SUITE / name, package)
    for name in ("compat.py", "utils.py"):
        shutil.copy(source / "django_tasks_db" / name, package)
    (package / "admin.py").write_text("DBTaskResultAdmin = None\n")
    (commands / "prune_db_task_results.py").write_text("import logging\n\nlogger = logging.root\n")
    shutil.copy(SUITE / "db_worker.py", commands)
    for name in ("tasks.py", "settings.py", "waiting.py"):
        shutil.copy(SUITE / name, tests)
    (tests / "db_worker_test_settings.py").write_text("from tests.settings import *\n")
    (work / "manage.py").write_text(MANAGE)
    text = (source / "tests" / "tests.py").read_text()
    for old, new in REPLACED.items():
        assert old in text
        text = text.replace(old, new)
    (tests / "tests.py").write_text(text)


def run_tests(work: Path, cache: str, patterns: list[str]) -> str:
    command = [sys.executable, "-W", "ignore", "manage.py", "test", "tests.tests", "-v", "2"]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "SUITE_CACHE": cache,
        "PYTHONPATH": os.pathsep.join([str(work), str(Path(__file__).parents[2])]),
    }
    run = subprocess.run(
        [*command, *(part for pattern in patterns for part in ("-k", pattern))],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return run.stdout + run.stderr


def report(output: str) -> None:
    ran = re.search(r"^Ran (\d+) tests? in", output, re.MULTILINE)
    if ran is None:
        sys.exit(f"{output[-6000:]}\nrun_tasks_db_suite: the run gave no result")
    bad = set(re.findall(r"^(?:FAIL|ERROR): (\w+) \(tests\.tests\.(\w+)", output, re.MULTILINE))
    skipped = len(re.findall(r"\.\.\. skipped ", output))
    reasons: Counter[str] = Counter()
    failed = []
    for name, case in sorted(bad):
        reason = EXCEPTIONS.get(case) or EXCEPTIONS.get(name)
        if reason:
            reasons[reason] += 1
        else:
            failed.append(f"{case}.{name}")
    for reason, count in reasons.most_common():
        print(f"  exceptions: {count}: {reason}")
    for name in failed:
        print(f"  FAILED {name}")
    exceptions = sum(reasons.values())
    passed = int(ran[1]) - len(failed) - exceptions - skipped
    print(
        f"{passed} passed, {len(failed)} failed, {exceptions} exceptions, {skipped} skipped "
        f"of {ran[1]}"
    )
    if failed:
        sys.exit(output[-20000:])


if __name__ == "__main__":
    main()
