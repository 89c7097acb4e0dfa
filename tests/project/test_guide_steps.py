"""`python -m example_project.guide`: each step's result and price, a wrong token, JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from continuum_upstash import UpstashCache
from continuum_upstash.transports import registry
from example_project.guide import __main__ as guide
from example_project.guide import settings as guide_settings
from tests.ports import find_free_port

ROOT = Path(__file__).parents[2]
# Billed commands of each step, on a database that already knows the scripts of queues.
PRICES = {
    "connection": 3,
    "basics": 9,
    "pipelines": 9,
    "patterns": 10,
    "statistics": 5,
    "cost": 0,
    "migration": 17,
    "queue": 15,
    "channel": 9,
}
FIRST_QUEUE = 19  # two scripts are sent once more, with their text


@pytest.fixture
def database(emulator, monkeypatch, settings, new_process_state, capsys):
    """The emulator as the database of the environment, and the guide's caches in it."""
    monkeypatch.setenv("UPSTASH_REDIS_REST_URL", emulator.rest_url)
    monkeypatch.setenv("UPSTASH_REDIS_REST_TOKEN", emulator.token)
    settings.CACHES = guide_settings.CACHES | {
        "classic": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": emulator.redis_url,
        }
    }
    assert guide.main(["--only", "queue"]) == 0
    capsys.readouterr()
    yield emulator
    registry.reset()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = guide.main([*arguments, "--format", "json"])
    return status, json.loads(capsys.readouterr().out)


def test_every_step_has_its_price_and_leaves_no_key(database, monkeypatch, capsys):
    monkeypatch.setattr(guide, "count_own_commands", lambda: database.read_usage().billed)
    with UpstashCache(name="other") as client:
        client.set("a key of the site", 1)
        status, report = run(capsys)
        assert [step["error"] for step in report["steps"]] == [""] * len(guide.STEPS)
        assert status == 0
        assert {step["step"]: step["billed"] for step in report["steps"]} == PRICES
        assert client.keys() == ["a key of the site"]


def test_the_results_are_those_of_the_public_api(database, capsys):
    results = {step["step"]: step["result"] for step in run(capsys)[1]["steps"]}
    assert results["connection"] == {"backend": "upstash-rest", "value": "hello"}
    assert results["basics"]["user"] == {"name": "Ada", "languages": ["py", "js"]}
    assert results["pipelines"]["results"] == [True, 7, 7, 3, 3, True]
    assert results["patterns"] == {"seconds to live": [300, 300], "keys": 3, "deleted": 3}
    assert results["statistics"]["hit rate"] == 0.5
    assert results["cost"]["1,000 users"] == "1,500,000 commands, $3.00 on the plan payg"
    assert results["migration"]["copied to the new cache"] is True
    assert results["queue"]["waiting"] == 1
    assert results["channel"]["history"] == ["Hello", "How are you?"]


def test_on_a_real_database_the_package_s_own_statistics_count(database, capsys):
    steps = run(capsys)[1]["steps"]
    counted = {step["step"]: step["billed"] for step in steps}
    assert counted | {"migration": PRICES["migration"]} == PRICES
    # RedisCache of Django is not a cache of this package.
    assert 0 < counted["migration"] < PRICES["migration"]


def test_only_one_step_runs(database, capsys):
    status, report = run(capsys, "--only", "pipelines")
    assert (status, [step["step"] for step in report["steps"]]) == (0, ["pipelines"])


def test_the_text_shows_what_a_step_does_its_result_and_its_price(database, capsys):
    assert guide.main(["--only", "connection"]) == 0
    text = capsys.readouterr().out
    assert "ms, 3 billed commands" in text
    assert "Write a value, read it back, and see which backend has served it." in text
    assert "backend: upstash-rest" in text
    assert "1 step, 0 failed, 3 billed commands" in text


def test_a_wrong_token_ends_the_guide_with_a_clear_message(database, monkeypatch, capsys):
    monkeypatch.setenv("UPSTASH_REDIS_REST_TOKEN", "a-wrong-one")
    status, report = run(capsys)
    assert status == 1
    (step,) = report["steps"]  # nothing else can succeed
    assert "WRONGPASS invalid or missing auth token" in step["error"]
    assert "Copy the token again from the console" in step["error"]
    assert "a-wrong-one" not in step["error"]


def test_a_step_that_fails_is_reported(database, capsys):
    with database.fault("capacity"):
        status, report = run(capsys, "--only", "queue")
    assert status == 1
    assert "DB capacity quota exceeded" in report["steps"][0]["error"]


@pytest.mark.parametrize(("fault", "writes"), [("capacity", "full"), ("readonly", "read_only")])
def test_a_database_that_stores_nothing_is_no_success(database, capsys, fault, writes):
    with database.fault(fault):
        status, report = run(capsys)
    assert (status, len(report["steps"])) == (1, 1)
    assert report["steps"][0]["error"] == f"not stored: writes are {writes}"


def test_an_unreachable_database_ends_the_guide_too(database, monkeypatch, capsys):
    monkeypatch.setenv("UPSTASH_REDIS_REST_URL", f"http://127.0.0.1:{find_free_port()}")
    status, report = run(capsys)
    assert (status, len(report["steps"])) == (1, 1)
    assert "cannot connect: Connection refused" in report["steps"][0]["error"]


def test_without_credentials_the_message_names_export(monkeypatch, capsys, settings, database):
    monkeypatch.delenv("UPSTASH_REDIS_REST_URL")
    monkeypatch.delenv("UPSTASH_REDIS_REST_TOKEN")
    monkeypatch.setenv("CONTINUUM_CACHE_MODE", "local")
    status, report = run(capsys, "--only", "connection")
    assert status == 1
    assert "`set -a; source .env; set +a`" in report["steps"][0]["error"]


def test_half_of_the_credentials_are_an_error(monkeypatch, capsys, database):
    monkeypatch.delenv("UPSTASH_REDIS_REST_TOKEN")
    assert guide.main([]) == 2
    assert "UPSTASH_REDIS_REST_TOKEN" in capsys.readouterr().err


def test_the_guide_starts_an_emulator_by_itself():
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UPSTASH_", "KV_", "REDIS_", "CONTINUUM_", "DJANGO_"))
    }
    process = subprocess.run(
        [sys.executable, "-m", "example_project.guide", "--format", "json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")
    report = json.loads(process.stdout)
    assert report["database"] == "a local Upstash emulator"
    prices = {step["step"]: step["billed"] for step in report["steps"]}
    assert prices == PRICES | {"queue": FIRST_QUEUE}
