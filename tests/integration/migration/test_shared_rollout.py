"""The shared rollout in the new database: read seldom, and kept in an outage."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import caches

from continuum_upstash.migration import rollout
from continuum_upstash.migration.conf import BACKEND, ImproperlyConfiguredMigration, Phase
from continuum_upstash.migration.rollout import (
    RolloutRefused,
    aread_rollout,
    override_rollout,
    read_rollout,
    read_stored_rollout,
    write_rollout,
)

KEY = "continuum:migration:shop:moving"


@pytest.fixture
def moving(site: Any) -> Any:
    """The alias "moving" migrates from "classic" to "default", the emulator."""
    site.CACHES = site.CACHES | {
        "classic": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "moving": {"BACKEND": BACKEND, "OPTIONS": {"OLD": "classic", "NEW": "default"}},
    }
    return site


def set_options(site, **options):
    entry = site.CACHES["moving"]
    moving = entry | {"OPTIONS": entry["OPTIONS"] | options}
    site.CACHES = site.CACHES | {"moving": moving}


async def test_the_options_apply_until_a_rollout_is_stored(moving, emulator):
    set_options(moving, PHASE="shadow", PERCENT=5)
    assert read_rollout("moving").phase is Phase.SHADOW
    assert read_stored_rollout("moving") is None
    set_options(moving, PHASE="shadow", ROLLOUT_INTERVAL=0)
    write_rollout("moving", phase="canary", percent=12.5)
    found = read_rollout("moving")
    assert (found.phase, found.percent, found.is_shared) == (Phase.CANARY, 12.5, True)
    assert await aread_rollout("moving") == found


def test_a_process_reads_the_rollout_once_in_an_interval(moving, emulator):
    with emulator.count() as usage:
        for _ in range(5):
            read_rollout("moving")
    assert usage.billed == 1


def test_a_changed_rollout_applies_in_the_process_that_writes_it_at_once(moving):
    assert read_rollout("moving").phase is Phase.OFF
    write_rollout("moving", phase="shadow")
    assert read_rollout("moving").phase is Phase.SHADOW


def test_a_refused_change_can_be_forced(moving):
    with pytest.raises(RolloutRefused, match="shadow first"):
        write_rollout("moving", phase="canary")
    assert read_stored_rollout("moving") is None
    assert write_rollout("moving", phase="canary", force=True).phase is Phase.CANARY


def test_other_bytes_under_its_key_are_ignored_with_a_warning(moving, caplog):
    caches["default"].client.redis.set(KEY, '{"phase": "new_only"}')
    assert read_rollout("moving").phase is Phase.OFF
    assert KEY in caplog.text


def test_the_last_rollout_applies_while_the_database_is_unavailable(moving, emulator, caplog):
    set_options(moving, ROLLOUT_INTERVAL=0)
    write_rollout("moving", phase="shadow")
    with emulator.fault("refuse"):
        assert read_rollout("moving").phase is Phase.SHADOW
    assert "could not be read" in caplog.text


def test_a_rollout_survives_a_clear_of_the_whole_database(moving):
    entry = moving.CACHES["default"]
    flushing = entry | {"OPTIONS": entry["OPTIONS"] | {"CLEAR": "flushdb"}}
    moving.CACHES = moving.CACHES | {"default": flushing}
    write_rollout("moving", phase="shadow", percent=5)
    stored = read_stored_rollout("moving")
    caches["moving"].clear()
    assert read_stored_rollout("moving") == stored


def test_a_rollout_that_was_evicted_is_stored_again(moving):
    set_options(moving, ROLLOUT_INTERVAL=0)
    write_rollout("moving", phase="shadow", percent=5)
    caches["default"].flush_all()
    assert read_rollout("moving").phase is Phase.SHADOW
    assert read_stored_rollout("moving").rollout.percent == 5


def test_an_override_replaces_the_stored_rollout(moving, emulator):
    write_rollout("moving", phase="shadow")
    with emulator.count() as usage:
        with override_rollout("moving", "canary", 50):
            with override_rollout("moving", Phase.NEW_ONLY):
                assert read_rollout("moving").phase is Phase.NEW_ONLY
            assert read_rollout("moving").percent == 50
        assert read_rollout("moving").phase is Phase.SHADOW
    assert usage.billed == 0


def test_the_aliases_must_be_a_migration_to_this_package(moving):
    with pytest.raises(ImproperlyConfiguredMigration, match="does not migrate"):
        read_rollout("default")
    set_options(moving, OLD="default", NEW="classic")
    with pytest.raises(ImproperlyConfiguredMigration, match="CacheBackend"):
        read_rollout("moving")


@pytest.mark.parametrize("first", ["off", None], ids=["stored", "new"])
def test_of_two_changes_at_the_same_time_one_is_refused(moving, emulator, first, monkeypatch):
    set_options(moving, ROLLOUT_INTERVAL=0)
    if first:
        write_rollout("moving", phase=first)

    def check_change_while_another_process_writes(*arguments):
        monkeypatch.setattr(rollout, "check_change", check_change)
        write_rollout("moving", phase="shadow", percent=7)
        check_change(*arguments)

    check_change = rollout.check_change
    monkeypatch.setattr(rollout, "check_change", check_change_while_another_process_writes)
    with pytest.raises(RolloutRefused, match="at the same time"):
        write_rollout("moving", phase="shadow", percent=50)
    stored = read_stored_rollout("moving").rollout
    assert (stored.phase, stored.percent) == (Phase.SHADOW, 7)
