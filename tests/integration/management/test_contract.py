"""What all the commands promise: help, JSON, exit codes, and no traceback whatever is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from continuum_upstash.transports import registry
from tests.integration.management.command_runs import entry, ran

COMMANDS = {
    "cache_stats": [],
    "cache_doctor": [],
    "cache_cost": [],
    "cache_cleanup": ["query:*", "--dry-run"],
}
NUMBER, MAYBE = (int, float), (int, float, type(None))
TALLY = {
    "batches": int, "commands": dict, "hits": int, "misses": int, "sets": int, "errors": dict,
    "coalesced": int, "bytes_out": int, "bytes_in": int, "billed": int, "overhead": int,
    "seconds": NUMBER, "latency": [NUMBER], "hit_rate": MAYBE, "error_rate": MAYBE,
    "p50_seconds": MAYBE, "p95_seconds": MAYBE, "p99_seconds": MAYBE,
}  # fmt: skip
BILL = {
    "plan": str, "commands": int, "limit": MAYBE, "projected": int, "dollars": NUMBER,
}  # fmt: skip
STATUS = {
    "backend": str, "state": str, "reason": str, "since": NUMBER, "next_probe": MAYBE,
    "failures": int, "local_replies": int, "dirty_keys": int,
}  # fmt: skip
SERVER = {
    "version": str, "keys": int, "memory": int, "memory_limit": int, "policy": str,
    "memory_used": MAYBE,
}  # fmt: skip
SCHEMAS = {
    "cache_stats": {
        "schema": int,
        "caches": [
            {
                "alias": str, "mode": str, "host": str, "label": str, "at": NUMBER,
                "status": STATUS, "fallback": bool, "round_trip": MAYBE, "server": SERVER,
                "errors": [str], "verdict": str, "warnings": [str], "since_seconds": NUMBER,
                "scope": str, "recent": TALLY, "today": TALLY, "bill": (dict, type(None)),
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
                "statistics_commands": int, "other_plans": [BILL],
            }
        ],
    },
    "cache_cleanup": {
        "schema": int, "cursor": str, "complete": bool, "pages": int, "matched": int,
        "excluded": int, "deleted": int, "commands": int, "announced": int, "dry_run": bool,
    },
}  # fmt: skip


def follows(value, schema):
    """Assert that a value has exactly the names of a schema, and its types."""
    if isinstance(schema, dict):
        assert value.keys() == schema.keys()
        for name, inner in schema.items():
            follows(value[name], inner)
    elif isinstance(schema, list):
        for each in value:
            follows(each, schema[0])
    else:
        assert isinstance(value, schema), (value, schema)


@pytest.fixture(autouse=True)
def site(emulator, settings):
    settings.CACHES = {"default": entry(emulator, KEY_PREFIX="shop")}
    yield settings
    registry.reset()


each_command = pytest.mark.parametrize("name", COMMANDS)


def run_json(name):
    return ran(name, *COMMANDS[name], "--format", "json")


@each_command
def test_help_says_what_the_exit_codes_mean(name):
    command = load_command_class(get_commands()[name], name)
    text = " ".join(command.create_parser("manage.py", name).format_help().split())
    assert "Exit code 0:" in text
    assert "2: unreachable, or wrong arguments" in text
    assert "--cache" in text


@each_command
def test_json_follows_its_schema_and_stands_alone(name):
    ended = run_json(name)
    assert ended.code == 0
    assert next(iter(ended.json)) == "schema"
    follows(ended.json, SCHEMAS[name])


@each_command
def test_a_wrong_alias_names_those_there_are(name):
    ended = ran(name, *COMMANDS[name], "--cache", "nobody")
    assert (ended.code, ended.out) == (2, "")
    assert "There is default." in ended.error


@each_command
def test_a_database_that_is_down_is_2_and_leaks_nothing(name, emulator):
    with emulator.fault("refuse"):
        ended = run_json(name)
    assert ended.code == 2
    assert emulator.token not in ended.out + ended.err + ended.error


@each_command
@pytest.mark.parametrize("fault", ["garbage", "hang", "quota", "http"])
def test_whatever_the_service_does_there_is_an_exit_code(name, fault, emulator, site):
    options = {"READ_TIMEOUT": 0.3}
    site.CACHES = {"default": entry(emulator, KEY_PREFIX="shop", OPTIONS=options)}
    with emulator.fault(fault):
        assert ran(name, *COMMANDS[name]).code == 2


@each_command
def test_a_wrong_configuration_is_2_with_a_hint(name, site, emulator):
    site.CACHES = {"default": entry(emulator, OPTIONS={"POOLSIZE": 1})}
    ended = ran(name, *COMMANDS[name])
    assert ended.code == 2
    assert "POOL_SIZE" in ended.error + ended.out


@pytest.mark.parametrize(
    ("name", "code"),
    [("cache_stats", 0), ("cache_cost", 0), ("cache_doctor", 1), ("cache_cleanup", 2)],
)
def test_a_read_only_token_is_enough_to_look(name, code, site, emulator):
    options = {"TOKEN": emulator.read_only_token}
    site.CACHES = {"default": entry(emulator, KEY_PREFIX="shop", OPTIONS=options)}
    ended = run_json(name)
    assert ended.code == code
    assert code == 0 or "standard token" in ended.out + ended.error


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


@each_command
def test_in_a_pipe_stdout_is_the_result_and_nothing_is_coloured(name, emulator):
    ended = subprocess.run(
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
    follows(json.loads(ended.stdout), SCHEMAS[name])
    assert "\x1b" not in ended.stdout + ended.stderr
