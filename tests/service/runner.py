"""Examine a database: `python -m tests.service`, or `make test-service`.

    make test-service                       the database of UPSTASH_REDIS_REST_URL and _TOKEN
    make test-service ARGS=--yes            without a question
    make test-service PROFILE=upstash-2025  an emulator in this profile

The exit code is 0 if every assumption holds, 1 if one does not, and 2 if the suite could not run.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from continuum_upstash.emulator.process import Emulator, running
from tests.service.catalogue import EVERYWHERE, Assumption, get_assumption
from tests.service.counter import CommandCounter
from tests.service.preflight import Server, Unusable, check_write, examine
from tests.service.report import Results, render_details, render_table, write_json
from tests.service.rest_client import NoConnection, RestClient
from tests.service.target import (
    VARIABLE,
    MissingCredentials,
    Target,
    describe_emulator,
    find_database,
    new_prefix,
)
from tests.service.tcp_client import TcpConnection

FOLDER: Final = Path(__file__).parent
MAX_COMMANDS: Final = 2_200
_WORKERS: Final = 6  # mostly waiting for the network
_TESTS_PER_WORKER: Final = 15  # for fewer, starting a worker takes longer than the tests
_CLEAN_UP_COMMANDS: Final = 6
_PREFLIGHT_COMMANDS: Final = 1
_DELETE_SIZE: Final = 200

_PYTEST_OPTIONS: Final = (
    str(FOLDER),
    f"--confcutdir={FOLDER}",
    "--tb=short",
    "-q",
    "-pno:cacheprovider",
    "-pno:hypothesispytest",  # takes each worker a second to import
    # This process has imported the package before pytest loads its plugin.
    "-Wignore::pytest.PytestAssertRewriteWarning",
)


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    with tempfile.TemporaryDirectory(prefix="continuum-suite-") as journal:
        try:
            with _open_target(options, journal) as target:
                return _run(target, options)
        except (MissingCredentials, Unusable) as error:
            print(f"The suite did not run. {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("Interrupted; the keys of the suite are deleted.", file=sys.stderr)
            return 2


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.service", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--profile", choices=sorted(EVERYWHERE), help="start an emulator in this profile")
    add("--yes", action="store_true", help="do not ask before commands are billed")
    add("--only", metavar="ID,…", default="", help="for example FORM or FORM-006,TCP")
    add("--large", action="store_true", help="also upload values of 11 MB")
    add("--json", type=Path, default=Path("build/service-report.json"), help="path of the report")
    return parser.parse_args(arguments)


@contextmanager
def _open_target(options: argparse.Namespace, journal: str) -> Iterator[Target]:
    if options.profile is None:
        yield find_database(os.environ, new_prefix(), journal, large=options.large)
        return
    with _start_emulator(f"--profile={options.profile}") as emulator:
        target = describe_emulator(emulator.addresses, options.profile, new_prefix())
        yield replace(target, journal=journal)


@contextmanager
def _start_emulator(*arguments: str) -> Iterator[Emulator]:
    with contextlib.ExitStack() as stack:
        try:
            emulator = stack.enter_context(running(*arguments))
        except RuntimeError as error:
            raise Unusable(str(error)) from None
        yield emulator


def _run(target: Target, options: argparse.Namespace) -> int:
    server = examine(target)
    os.environ[VARIABLE] = target.to_variable()
    plan = _collect(options.only)
    most = plan.commands + _PREFLIGHT_COMMANDS + _CLEAN_UP_COMMANDS
    _announce(target, server, plan, most)
    if not _is_confirmed(target, options):
        return 2
    check_write(target)
    started = time.monotonic()
    results = Results(plan.assumptions)
    try:
        workers = min(_WORKERS, plan.tests // _TESTS_PER_WORKER)
        output = _run_pytest(results, options.only, workers)
    finally:
        left, deleted = _clean_up(target)
    summary = {
        "seconds": round(time.monotonic() - started, 1),
        "commands_announced": most,
        "commands_counted": results.commands + _PREFLIGHT_COMMANDS + deleted,
        "keys_left": left,
    }
    return _report(target, server, results, summary, output, options.json)


class Plan:
    """A pytest plugin that notes what would run.

    Attributes:
        assumptions: by node id without parameters.
        commands: the most that the tests bill, their clean-up included.
        tests: how many.
    """

    def __init__(self) -> None:
        self.assumptions: dict[str, Assumption] = {}
        self.commands = self.tests = 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            assumption = get_assumption(getattr(item, "function", None))
            if assumption is not None:
                self.assumptions[item.nodeid.partition("[")[0]] = assumption
                self.commands += assumption.commands + bool(assumption.commands)
                self.tests += 1


def _collect(only: str) -> Plan:
    plan = Plan()
    _, output = _call_pytest(["--collect-only", f"--only={only}"], plan)
    if not plan.tests:
        raise Unusable(f"pytest found no tests: {output}")
    return plan


def _run_pytest(results: Results, only: str, workers: int) -> str:
    """Run the tests that may run side by side, then those that need the database for themselves."""
    selection = f"--only={only}"
    code, output = _call_pytest(
        [selection, "-n", str(workers), "--dist", "worksteal", "-m", "not alone"], results
    )
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    return output + _call_pytest([selection, "-n", "0", "-m", "alone"], results)[1]


def _call_pytest(arguments: Sequence[str], plugin: object) -> tuple[int, str]:
    """Run pytest; return its exit code and what it printed."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = pytest.main([*_PYTEST_OPTIONS, *arguments], plugins=[plugin])
    return code, output.getvalue()


def _announce(target: Target, server: Server, plan: Plan, most: int) -> None:
    kind = "database" if target.is_real else f"emulator, profile {target.profile}"
    print(
        f"Upstash {server.upstash_version} (Redis {server.redis_version}), {server.keys:,} keys, "
        f"{kind} {target.name}\n"
        f"{plan.tests} tests of {len(plan.assumptions)} assumptions. All keys begin with "
        f"{target.prefix} and are deleted at the end.\n"
        f"At most {most:,} commands are billed.",
        flush=True,
    )
    assert most <= MAX_COMMANDS, f"{most} commands are more than {MAX_COMMANDS}"


def _is_confirmed(target: Target, options: argparse.Namespace) -> bool:
    if options.yes or not target.is_real:
        return True
    if not sys.stdin.isatty():
        print("Standard input is not a terminal: add --yes to start.", file=sys.stderr)
        return False
    return input("Start? [y/N] ").strip().lower() in {"y", "yes"}


def _clean_up(target: Target) -> tuple[int, int]:
    """Delete what the tests have left; return how many keys remain, and the billed commands."""
    names = sorted(
        {
            line
            for path in Path(target.journal).glob("*.keys")
            for line in path.read_text(encoding="utf-8").splitlines()
        }
    )
    left = commands = 0
    for start in range(0, len(names), _DELETE_SIZE):
        chunk = names[start : start + _DELETE_SIZE]
        replies = _send(target, ["DEL", *chunk], ["EXISTS", *chunk])
        commands += 2
        left += replies[-1] if isinstance(replies[-1], int) else len(chunk)
    return left, commands


def _send(target: Target, *commands: list[str]) -> list[Any]:
    counter = CommandCounter(len(commands))
    try:
        if target.rest_url:
            client = RestClient(target.rest_url, target.token, counter)
            try:
                return client.pipeline(*commands)
            finally:
                client.close()
        with TcpConnection(target.redis_url, counter) as connection:
            connection.authenticate()
            return connection.call_many(*map(tuple, commands))
    except (NoConnection, OSError, AssertionError):
        return [None]


def _report(
    target: Target,
    server: Server,
    results: Results,
    summary: dict[str, Any],
    output: str,
    path: Path,
) -> int:
    all_results = results.list_all()
    print(target.redact(render_table(all_results)))
    print(target.redact(render_details(all_results)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, target, server, results, summary)
    failed = sum(result.outcome == "failed" for result in all_results)
    passed = sum(result.outcome == "passed" for result in all_results)
    print(
        f"\n{passed} assumptions hold, {failed} failed, {len(all_results) - passed - failed} "
        f"skipped, in {summary['seconds']} s. {summary['commands_counted']:,} commands billed "
        f"(at most {summary['commands_announced']:,} announced). Keys left: "
        f"{summary['keys_left']}.\nReport without secrets, to attach to a bug report: {path}"
    )
    if results.errors or not all_results:
        print(target.redact("\n".join([*results.errors, output])), file=sys.stderr)
        return 2
    return 1 if failed else 0
