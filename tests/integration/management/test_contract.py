"""What all commands have in common: help, JSON, exit statuses, and errors without a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from tests.integration.cache_entries import make_entry
from tests.integration.management.command_runs import run_command
from tests.integration.management.json_schema import NUMBER, OPTIONAL, assert_follows

COMMANDS = {
    "cache_stats": [],
    "cache_doctor": [],
    "cache_cost": [],
    "cache_cleanup": ["query:*", "--dry-run"],
}
TOTALS = {
    "batches": int, "commands": dict, "hits": int, "misses": int, "near_hits": int,
    "near_saved": int, "sets": int, "errors": dict, "discarded": dict, "coalesced": int,
    "protected_reads": dict, "local_commands": int,
    "bytes_out": int, "bytes_in": int, "billed": int, "overhead": int,
    "seconds": NUMBER, "latency": [NUMBER], "hit_rate": OPTIONAL, "error_rate": OPTIONAL,
    "p50_seconds": OPTIONAL, "p95_seconds": OPTIONAL, "p99_seconds": OPTIONAL,
}  # fmt: skip
BILL = {
    "plan": str, "commands": int, "limit": OPTIONAL, "projected": OPTIONAL, "dollars": OPTIONAL,
    "least": OPTIONAL, "most": OPTIONAL, "is_early": bool, "prices": (dict, type(None)),
    "storage": int, "traffic": OPTIONAL, "regions": int, "prod_pack": bool, "exceeded": [str],
    "first_hour": (str, type(None)), "writes": int,
}  # fmt: skip
STATUS = {
    "backend": str, "state": str, "reason": str, "since": NUMBER, "next_probe": OPTIONAL,
    "failures": int, "local_replies": int, "dirty_keys": int,
    "pool_exhausted": int, "last_pool_exhausted": OPTIONAL, "writes": str,
    "budget": (dict, type(None)),
}  # fmt: skip
SERVER = {
    "version": str, "keys": int, "memory": int, "memory_limit": int, "policy": str,
    "memory_used": OPTIONAL,
}  # fmt: skip
SCHEMAS = {
    "cache_stats": {
        "schema": int,
        "caches": [
            {
                "alias": str, "mode": str, "host": str, "label": str, "at": NUMBER,
                "status": STATUS, "fallback": bool, "round_trip": OPTIONAL, "server": SERVER,
                "errors": [str], "verdict": str, "warnings": [str], "since_seconds": NUMBER,
                "scope": str, "recent": TOTALS, "today": TOTALS, "bill": (dict, type(None)),
                "spent": int, "families": (list, type(None)),
            }
        ],
    },
    "cache_doctor": {
        "schema": int,
        "caches": [
            {
                "alias": str,
                "findings": [{"name": str, "outcome": str, "detail": str, "fix": str}],
            }
        ],
    },
    "cache_cost": {
        "schema": int,
        "caches": [
            {
                "alias": str, "bill": (dict, type(None)), "commands": dict,
                "statistics_commands": int, "other_plans": [BILL], "prices_of": str,
                "account": (dict, type(None)), "comparison": (dict, type(None)),
                "account_error": str, "report": (dict, type(None)),
                "idle_worker": (dict, type(None)), "error": str,
            }
        ],
    },
    "cache_cleanup": {
        "schema": int, "cursor": str, "complete": bool, "pages": int, "matched": int,
        "excluded": int, "deleted": int, "commands": int, "announced": int, "dry_run": bool,
    },
}  # fmt: skip


each_command = pytest.mark.parametrize("name", COMMANDS)


def run_json(name):
    return run_command(name, *COMMANDS[name], "--format", "json")


@each_command
def test_help_explains_the_exit_statuses(name):
    command = load_command_class(get_commands()[name], name)
    text = " ".join(command.create_parser("manage.py", name).format_help().split())
    assert "Exit status 0:" in text
    assert "2: the database is unreachable or the arguments are invalid" in text
    assert "--cache" in text


@each_command
def test_json_follows_its_schema(name):
    run = run_json(name)
    assert run.code == 0
    assert next(iter(run.json)) == "schema"
    assert_follows(run.json, SCHEMAS[name])


@each_command
def test_an_unknown_alias_exits_with_2_and_names_the_others(name):
    run = run_command(name, *COMMANDS[name], "--cache", "unknown")
    assert (run.code, run.out) == (2, "")
    assert "Aliases of this package: default." in run.error


@each_command
def test_an_outage_exits_with_2_and_shows_no_secret(name, emulator):
    with emulator.fault("refuse"):
        run = run_json(name)
    assert run.code == 2
    assert emulator.token not in run.out + run.err + run.error


@each_command
@pytest.mark.parametrize("fault", ["garbage", "hang", "quota", "http"])
def test_every_fault_of_the_service_exits_with_2(name, fault, emulator, site):
    options = {"READ_TIMEOUT": 0.3}
    site.CACHES = {"default": make_entry(emulator, KEY_PREFIX="shop", OPTIONS=options)}
    with emulator.fault(fault):
        assert run_command(name, *COMMANDS[name]).code == 2


@each_command
def test_an_invalid_configuration_exits_with_2_and_a_hint(name, site, emulator):
    site.CACHES = {"default": make_entry(emulator, OPTIONS={"POOLSIZE": 1})}
    run = run_command(name, *COMMANDS[name])
    assert run.code == 2
    assert "POOL_SIZE" in run.error + run.out


@pytest.mark.parametrize(
    ("name", "code"),
    [("cache_stats", 0), ("cache_cost", 0), ("cache_doctor", 1), ("cache_cleanup", 2)],
)
def test_a_read_only_token_is_sufficient_for_reading(name, code, site, emulator):
    options = {"TOKEN": emulator.read_only_token}
    site.CACHES = {"default": make_entry(emulator, KEY_PREFIX="shop", OPTIONS=options)}
    run = run_json(name)
    assert run.code == code
    assert code == 0 or "standard token" in run.out + run.error


PROGRAM = """
import sys
from django.conf import settings
settings.configure(
    CACHES={"default": {"BACKEND": "continuum_upstash.backend.CacheBackend"}},
    INSTALLED_APPS=["continuum_upstash"], SECRET_KEY="s",
)
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


@pytest.mark.parametrize("name", ["cache_cleanup", "cache_stats"])
def test_in_a_pipe_stdout_is_the_result_without_colours(name, emulator):
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, name, *COMMANDS[name], "--format", "json"],
        env=os.environ
        | {
            "UPSTASH_REDIS_REST_URL": emulator.rest_url,
            "UPSTASH_REDIS_REST_TOKEN": emulator.token,
            "PYTHONPATH": str(Path(__file__).parents[3]),
        },
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    assert_follows(json.loads(run.stdout), SCHEMAS[name])
    assert "\x1b" not in run.stdout + run.stderr
