#!/usr/bin/env python3
"""Run django-redis' own tests of its cache against any BACKEND.

The tests come, unchanged, from the sdist of the installed django-redis. Its tests that need no
cache are about its own classes and are left out. Only a conftest and a settings module are added to
a throw-away copy.

  run_django_redis_suite.py --location http://127.0.0.1:8079 --options '{"TOKEN": "…"}'
  run_django_redis_suite.py --backend django_redis.cache.RedisCache --location redis://127.0.0.1

Each test clears its cache: use a database of its own.
Exit status: 0 if exactly the tests named with --fails failed, and at least one passed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

CONFTEST = Path(__file__).parent / "suites" / "django_redis_conftest.py"
BACKEND = "continuum_upstash.backend.CacheBackend"
FILES = ["test_backend", "test_backend_sorted_sets", "test_cache_options", "test_session"]

SETTINGS = """
from settings.{variant} import *

for alias, entry in CACHES.items():
    entry["BACKEND"] = {backend!r}
    entry["LOCATION"] = {unreachable!r} if alias == "doesnotexist" else {location!r}
    entry["OPTIONS"] |= {options!r}
"""


def main() -> None:
    args = parse_arguments()
    source = sdist(args.python, args.cache_dir)
    with tempfile.TemporaryDirectory(prefix="django-redis-suite-") as directory:
        work = Path(directory)
        prepare(args, source, work)
        started = time.monotonic()
        output = run_tests(args, work)
        report(args, output, work / "log", time.monotonic() - started)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__
    )
    add = parser.add_argument
    add("--backend", default=BACKEND)
    add("--location", required=True)
    add("--options", default={}, type=json.loads, help="more OPTIONS, as JSON")
    add("--variant", default="sqlite", help="a settings module of the suite: sqlite_json …")
    add("--fails", default=[], nargs="*", metavar="TEST", help="tests that must fail")
    add("--python", default=sys.executable)
    add("--cache-dir", type=Path, default=Path(tempfile.gettempdir()) / "django-redis-sdist")
    add("--timeout", type=int, default=540, help="seconds")
    add("--verbose", action="store_true", help="print the whole output of the run")
    return parser.parse_args()


def sdist(python: str, cache_dir: Path) -> Path:
    """Return the unpacked sdist of the installed version; concurrent runs may fetch it at once."""
    command = [python, "-c", "import django_redis; print(django_redis.__version__)"]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    version = run.stdout.strip()
    root = cache_dir / f"django-redis-{version}"
    if (root / "tests").exists():
        return root
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir) as fresh:
        command = [python, "-m", "pip", "download", "-q", "--no-deps", "-d", fresh]
        command += ["--no-binary", "django-redis", f"django-redis=={version}"]
        subprocess.run(command, check=True)
        (archive,) = Path(fresh).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(fresh, filter="data")
        (unpacked,) = (path for path in Path(fresh).iterdir() if path.is_dir())
        try:
            unpacked.rename(root)
        except OSError:
            if not (root / "tests").exists():
                raise
    return root


def prepare(args: argparse.Namespace, source: Path, work: Path) -> None:
    tests = work / "tests"
    shutil.copytree(source / "tests", tests)
    shutil.copy(CONFTEST, tests / "conftest.py")
    scheme = args.location.partition(":")[0]
    (tests / "suite_settings.py").write_text(
        SETTINGS.format(
            variant=args.variant,
            backend=args.backend,
            location=args.location,
            unreachable=f"{scheme}://127.0.0.1:1",
            options=args.options,
        )
    )


def run_tests(args: argparse.Namespace, work: Path) -> str:
    env = {
        **os.environ,
        "DJANGO_REDIS_LOG": str(work / "log"),
        "DJANGO_SETTINGS_MODULE": "suite_settings",
        "PYTHONPATH": os.pathsep.join([str(work), str(work / "tests")]),
    }
    command = [args.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:django"]
    command += ["-p", "no:xdist", "--rootdir", str(work), "-c", os.devnull]
    command += [f"tests/{name}.py" for name in FILES]
    run = subprocess.run(
        command,
        cwd=work,
        env=env,
        capture_output=True,
        text=True,
        timeout=args.timeout,
        check=False,
    )
    return run.stdout + run.stderr


def report(args: argparse.Namespace, output: str, log: Path, seconds: float) -> None:
    if args.verbose:
        print(output)
    if not log.exists():
        sys.exit(f"{output[-6000:]}\nrun_django_redis_suite: the run gave no result")
    outcomes = json.loads(log.read_text())
    count = {
        kind: sum(outcome == kind for outcome in outcomes.values())
        for kind in ("passed", "failed", "skipped")
    }
    failed = sorted(name.rpartition("::")[2] for name, each in outcomes.items() if each == "failed")
    print(f"{args.backend}  {args.variant}  {args.location.partition(':')[0]}  {seconds:.1f} s")
    print(", ".join(f"{number} {kind}" for kind, number in count.items()), f"of {len(outcomes)}")
    unexpected = sorted(set(failed) - set(args.fails))
    passed = sorted(set(args.fails) - set(failed))
    for name in failed if args.fails == [] else unexpected:
        print(f"  FAILED {name}")
    for name in passed:
        print(f"  PASSED although it is listed as failing: {name}")
    if unexpected and not args.verbose:
        print(output[-6000:])
    sys.exit(0 if count["passed"] and not unexpected and not passed else 1)


if __name__ == "__main__":
    main()
