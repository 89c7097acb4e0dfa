"""Run the steps of the guide, on a local emulator or on the database of the environment.

    python -m example_project.guide
    python -m example_project.guide --only connection --format json

Exit status 0: all steps succeeded; 1: a step failed; 2: an argument or a variable is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from time import perf_counter
from typing import Any

import django
from django.conf import settings
from django.core.cache import caches
from redis.exceptions import RedisError

from continuum_upstash.config.resolve import resolve
from continuum_upstash.emulator.process import running
from continuum_upstash.errors import ConfigurationError, ContinuumError
from continuum_upstash.federation.channels.hub import Hub
from continuum_upstash.stats.counters import read_process_totals
from example_project.guide import connection, many_keys
from example_project.guide.outcome import Outcome, StepFailed

STEPS = (
    "connection", "basics", "pipelines", "patterns", "statistics", "cost", "migration", "queue",
    "channel",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m example_project.guide",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=STEPS, metavar="STEP", help=f"one of {', '.join(STEPS)}")
    parser.add_argument("--format", choices=("text", "json"), default="text", dest="form")
    options = parser.parse_args(arguments)
    try:
        with provide_database() as (database, read_billed):
            steps = [options.only] if options.only else list(STEPS)
            outcomes = run_steps(steps, read_billed)
            if options.form == "json":
                return print_json(database, list(outcomes))
            return print_text(database, outcomes)
    except (ConfigurationError, RuntimeError) as error:  # the emulator did not start
        sys.stderr.write(f"guide: {error}\n")
        return 2


@contextmanager
def provide_database() -> Iterator[tuple[str, Callable[[], int]]]:
    """Yield the description of a database, and a function that reads its billed commands.

    Without credentials in the environment, an emulator is started.
    """
    config = resolve({}, os.environ)
    if config.mode != "local" or os.environ.get("CONTINUUM_CACHE_MODE") == "local":
        with prepare_caches():
            yield config.host or "the local store", count_own_commands
        return
    with running() as emulator:
        os.environ |= {
            "UPSTASH_REDIS_REST_URL": emulator.rest_url,
            "UPSTASH_REDIS_REST_TOKEN": emulator.token,
            "CLASSIC_REDIS_URL": emulator.redis_url,
        }
        with prepare_caches():
            yield "a local Upstash emulator", lambda: emulator.read_usage().billed


@contextmanager
def prepare_caches() -> Iterator[None]:
    """Set up Django; at the end, end the subscription of the step "channel" at once."""
    if not settings.configured:
        os.environ["DJANGO_SETTINGS_MODULE"] = "example_project.guide.settings"
        django.setup()
    try:
        yield
    finally:
        database = caches["federation"].database
        database.extras.get(Hub, lambda: Hub(database)).close()


def count_own_commands() -> int:
    """The billed commands of this process, by the package's statistics."""
    aliases = {*settings.CACHES, "guide"}
    return sum(read_process_totals(alias).all_billed for alias in aliases)


def load_step(name: str) -> Callable[[str], dict[str, Any]]:
    # These modules need Django's settings.
    from example_project.guide import federation, figures, migration  # noqa: PLC0415

    return {
        "connection": connection.check_connection,
        "basics": connection.use_basic_operations,
        "pipelines": many_keys.use_pipelines,
        "patterns": many_keys.use_patterns,
        "statistics": figures.read_statistics,
        "cost": figures.estimate_cost,
        "migration": migration.migrate,
        "queue": federation.use_queue,
        "channel": federation.use_channel,
    }[name]


def run_steps(names: list[str], read_billed: Callable[[], int]) -> Iterator[Outcome]:
    """Run steps; after a failed connection no other one. Their keys begin with a new prefix."""
    prefix = f"guide:{secrets.token_hex(4)}:"
    for name in names:
        step = load_step(name)
        outcome = Outcome(name, (step.__doc__ or "").splitlines()[0])
        billed, start = read_billed(), perf_counter()
        try:
            outcome.result = step(prefix)
        except (ContinuumError, StepFailed, RedisError) as error:
            outcome.error = str(error) or type(error).__name__
        outcome.milliseconds = round((perf_counter() - start) * 1000, 1)
        outcome.billed = read_billed() - billed
        yield outcome
        if name == "connection" and outcome.error:
            return


def print_json(database: str, outcomes: list[Outcome]) -> int:
    report = {"database": database, "steps": [asdict(outcome) for outcome in outcomes]}
    sys.stdout.write(f"{json.dumps(report, indent=2, default=str)}\n")
    return int(any(outcome.error for outcome in outcomes))


def print_text(database: str, outcomes: Iterator[Outcome]) -> int:
    """Print each step when it has ended; return the exit status."""
    sys.stdout.write(f"Database: {database}\n")
    count = failed = billed = 0
    for outcome in outcomes:
        price = f"{outcome.milliseconds:,.1f} ms, {outcome.billed} billed commands"
        lines = ["", f"{outcome.step}: {price}", f"  {outcome.does}"]
        lines += [f"    {name}: {value}" for name, value in outcome.result.items()]
        lines += [f"    FAILED: {outcome.error}"] if outcome.error else []
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        count, billed, failed = count + 1, billed + outcome.billed, failed + bool(outcome.error)
    steps = "1 step" if count == 1 else f"{count} steps"
    sys.stdout.write(f"\n{steps}, {failed} failed, {billed} billed commands\n")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
