"""``cache_migrate set-percent``, ``set-phase`` and ``rollback``."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from continuum_upstash.migration.conf import BACKEND, Phase
from continuum_upstash.migration.rollout import read_rollout, read_stored_rollout, write_rollout
from tests.integration.cache_entries import make_entry
from tests.integration.management.command_runs import run_command


@pytest.fixture(autouse=True)
def moving(site, emulator):
    set_options(site, emulator)


def set_options(site, emulator, **options):
    options = {"OLD": "old", "NEW": "new", "PHASE": "canary", "PERCENT": 5, **options}
    site.CACHES = {
        "default": {"BACKEND": BACKEND, "OPTIONS": options},
        "old": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "new": make_entry(emulator, KEY_PREFIX="shop"),
    }


def run(action, *arguments):
    return run_command("cache_migrate", action, *arguments)


def test_a_percentage_is_stored_for_all_processes():
    result = run("set-percent", "25%")
    assert (result.code, result.error) == (0, "")
    assert read_stored_rollout("default").rollout.percent == 25
    assert read_rollout("default").phase is Phase.CANARY
    assert "phase canary, 25 % (before: phase canary, 5 %)" in result.out
    assert "60 s from now" in result.out


def test_json_says_when_all_processes_use_it():
    before = timezone.now()
    result = run("set-percent", "25", "--format", "json").json
    at = datetime.fromisoformat(result["known_to_all_processes_at"])
    assert timedelta(seconds=60) <= at - before < timedelta(seconds=90)
    assert result["before"] == {"phase": "canary", "percent": 5.0, "salt": "continuum"}
    assert result["after"] == {"phase": "canary", "percent": 25.0, "salt": "continuum"}


def test_a_dry_run_stores_nothing_and_refuses_as_the_change_would():
    assert "Would be stored" in run("set-percent", "25", "--dry-run").out
    assert run("set-phase", "new_only", "--dry-run").code == 1
    assert read_stored_rollout("default") is None


def test_the_phase_and_the_percentage_change_together():
    assert run("set-phase", "shadow", "--percent", "1").code == 0
    rollout = read_stored_rollout("default").rollout
    assert (rollout.phase, rollout.percent) == (Phase.SHADOW, 1)


def test_a_percentage_without_effect_is_said():
    write_rollout("default", phase="new_primary")
    assert "In the phase new_primary the percentage has no effect." in run("set-percent", "5").out


@pytest.mark.parametrize(
    ("phase", "arguments", "after"),
    [
        ("canary", [], "shadow"),
        ("new_primary", [], "shadow"),
        ("shadow", ["--to", "off"], "off"),
    ],
)
def test_a_rollback_reads_the_old_cache_again(phase, arguments, after):
    write_rollout("default", phase=phase, force=True)
    assert run("rollback", *arguments).code == 0
    assert read_stored_rollout("default").rollout.phase == after


def test_a_rollback_from_new_only_would_lose_writes_and_is_refused():
    write_rollout("default", phase="new_only", force=True)
    refused = run("rollback")
    assert refused.code == 1
    assert "Nothing was changed. The old cache has received no write" in refused.error
    assert read_stored_rollout("default").rollout.phase is Phase.NEW_ONLY
    assert run("rollback", "--force").code == 0
    assert read_stored_rollout("default").rollout.phase is Phase.SHADOW


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["set-percent", "101"], "write a number from 0 to 100"),
        (["set-percent", "x"], "write a number from 0 to 100"),
        (["set-phase", "later"], "'later'"),
        (["rollback", "--to", "canary"], "canary"),
        (["set-percent", "5", "--cache", "new"], "does not have the BACKEND"),
    ],
)
def test_invalid_arguments_are_refused_with_a_hint(arguments, words):
    result = run(*arguments)
    assert result.code != 0
    assert words in result.error


def test_without_a_shared_rollout_nothing_is_stored(site, emulator):
    set_options(site, emulator, ROLLOUT_SHARED=False)
    result = run("set-percent", "5")
    assert (result.code, "ROLLOUT_SHARED is False" in result.error) == (2, True)


def test_an_outage_exits_with_2(emulator):
    with emulator.fault("refuse"):
        result = run("set-percent", "5")
    assert result.code == 2
    assert emulator.token not in result.error
