#!/usr/bin/env python3
"""Run Django's own cache and session tests against any BACKEND or ENGINE.

The tests come, unchanged, from the sdist of the Django version that is installed beside the
interpreter, so that the run can be repeated. Only the files of suites/ and a settings module are
added to a throw-away copy.

  run_django_suite.py --location http://127.0.0.1:8079 --options '{"TOKEN": "…"}' --mode async
  run_django_suite.py --engine continuum_upstash.sessions --location …

The cache tests call cache.clear() after every test: use a database of their own.
Exit status: 0 only if nothing failed or errored and at least one test ran.
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
import time
from pathlib import Path

SUITES = Path(__file__).parent / "suites"
BACKEND = "continuum_upstash.backend.CacheBackend"


def main() -> None:
    args = parse_arguments()
    source = sdist(args.python, django_version(args.python), args.cache_dir)
    work = Path(tempfile.mkdtemp(prefix="django-suite-"))
    try:
        label = prepare(args, source, work)
        started = time.monotonic()
        code, output = run_tests(args, work / "tests", label)
        report(args, code, output, work / "log", time.monotonic() - started)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__
    )
    add = parser.add_argument
    add("--backend", default=BACKEND)
    add("--location", default="")
    add("--options", default={}, type=json.loads, help="OPTIONS as JSON")
    add("--params", default={}, type=json.loads, help="further CACHES keys as JSON")
    add("--engine", default="", help="dotted SESSION_ENGINE: run the session tests instead")
    add("--session-base", default="mixin", choices=["mixin", "cache", "cached_db", "db"])
    add("--base-class", default="BaseCacheTests")
    add("--mode", default="sync", choices=["sync", "async", "async-shared"])
    add("--with-cull", action="store_true", help="the backend honours MAX_ENTRIES")
    add("--skip", action="append", default=[], metavar="NAME", help="leave a test out, counted")
    add("--k", action="append", default=[], help="unittest -k pattern")
    add("--settings-extra", default="", help="Python lines for the settings module")
    add("--python", default=sys.executable)
    add("--cache-dir", type=Path, default=Path(tempfile.gettempdir()) / "django-sdist")
    add("--timeout", type=int, default=540, help="seconds")
    add("--verbose", action="store_true", help="print the whole output of the run")
    return parser.parse_args()


def django_version(python: str) -> str:
    command = [python, "-c", "import django; print(django.__version__)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def sdist(python: str, version: str, cache_dir: Path) -> Path:
    """Return the unpacked sdist of a Django version; concurrent runs may fetch it at once."""
    root = cache_dir / f"django-{version}"
    if (root / "tests" / "runtests.py").exists():
        return root
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_dir) as fresh:
        command = [python, "-m", "pip", "download", "-q", "--no-binary", ":all:", "--no-deps"]
        subprocess.run([*command, "-d", fresh, f"django=={version}"], check=True)
        (archive,) = Path(fresh).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(fresh, filter="data")
        (unpacked,) = (path for path in Path(fresh).iterdir() if path.is_dir())
        try:
            unpacked.rename(root)
        except OSError:
            if not (root / "tests" / "runtests.py").exists():
                raise
    return root


def prepare(args: argparse.Namespace, source: Path, work: Path) -> str:
    """Copy Django's tests and suites/; return the test label. The installed Django is tested."""
    tests = work / "tests"
    shutil.copytree(source / "tests", tests)
    entry = {"BACKEND": args.backend, "LOCATION": args.location, **args.params}
    if args.options:
        entry["OPTIONS"] = args.options
    extra = args.settings_extra.replace("\\n", "\n")
    (tests / "suite_settings.py").write_text(
        f"from test_sqlite import *\nCACHES = {{'default': {entry!r}}}\n{extra}\n"
    )
    shutil.copy(SUITES / "recording.py", tests)
    if args.engine:
        shutil.copy(SUITES / "session_suite.py", tests / "sessions_tests" / "test_third_party.py")
        return "sessions_tests.test_third_party"
    shutil.copy(SUITES / "cache_suite.py", tests / "cache" / "test_third_party.py")
    return "cache.test_third_party"


def run_tests(args: argparse.Namespace, tests: Path, label: str) -> tuple[int, str]:
    suite = {
        "mode": args.mode,
        "engine": args.engine,
        "base_class": args.base_class,
        "session_base": args.session_base,
        "skip": args.skip,
        "exclude_aliases": [] if args.with_cull else ["cull", "zero_cull"],
        "log": str(tests.parent / "log"),
    }
    paths = [str(tests), os.environ.get("PYTHONPATH", "")]
    env = {
        **os.environ,
        "DJANGO_SUITE": json.dumps(suite),
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    command = [args.python, "-W", "ignore::ResourceWarning", "runtests.py"]
    command += ["--settings=suite_settings", "--parallel=1", "-v", "2"]
    command += [part for pattern in args.k for part in ("-k", pattern)]
    run = subprocess.run(
        [*command, label],
        cwd=tests,
        env=env,
        capture_output=True,
        text=True,
        timeout=args.timeout,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr


def report(args: argparse.Namespace, code: int, output: str, log: Path, seconds: float) -> None:
    if args.verbose:
        print(output)
    ran = re.search(r"^Ran (\d+) tests? in", output, re.MULTILINE)
    if not ran or not log.exists():
        sys.exit(f"{output[-6000:]}\nrun_django_suite: the run gave no result (exit {code})")
    outcomes = [json.loads(line) for line in log.read_text().splitlines()]
    if len(outcomes) != int(ran.group(1)):
        sys.exit(f"run_django_suite: {ran.group(1)} tests ran, but {len(outcomes)} were recorded")
    count = {
        kind: sum(each["outcome"] == kind for each in outcomes)
        for kind in ("passed", "failed", "errors", "skipped")
    }
    what = args.engine or args.backend
    print(f"Django {django_version(args.python)}  {what}  mode={args.mode}  {seconds:.1f} s")
    for each in outcomes:
        if each["outcome"] in {"failed", "errors"}:
            print(f"  {each['outcome'].upper()} {each['test']} ({each['parts']} parts)")
    print(", ".join(f"{number} {kind}" for kind, number in count.items()), f"of {len(outcomes)}")
    bad = count["failed"] + count["errors"]
    if (bad or code) and not args.verbose:
        print(output[-6000:])
    sys.exit(0 if code == 0 and not bad and count["passed"] else 1)


if __name__ == "__main__":
    main()
