"""The import paths that settings, checks and the documentation name. They do not change."""

from __future__ import annotations

import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.core.management import get_commands
from django.utils.module_loading import import_string

ROOT = Path(__file__).parents[2]

PATHS = """
    UpstashCache AsyncUpstashCache __version__
    backend.CacheBackend backend.get_cache
    client.UpstashCache client.AsyncUpstashCache client.Backend
    codec.Codec
    decorators.cached decorators.cache_page
    config.Config config.resolve
    errors.ContinuumError errors.ConfigurationError errors.Unavailable errors.ConnectionFailed
    errors.DeadlineExceeded errors.ReplyError errors.Refused errors.AuthenticationFailed
    errors.NotPermitted errors.QuotaExceeded errors.CapacityExceeded errors.RequestTooLarge
    errors.ReadOnlyReplica errors.NotSerializable errors.SessionStoreUnavailable
    errors.LockNotAcquired errors.LockLost
    health_plugin.UpstashCache
    keys.DEFAULT_TTL_BY_PREFIX
    observe.subscribe observe.CommandDetails observe.Record observe.LimitDecided
    panel.admin.CacheHealthAdmin panel.models.CacheHealth
    ratelimit.Limiter ratelimit.Policy ratelimit.Decision ratelimit.ratelimit
    ratelimit.middleware.RateLimitMiddleware ratelimit.drf.UpstashRateThrottle
    ratelimit.django_ratelimit.ratelimit ratelimit.forms.LimitedAuthenticationForm
    ratelimit.recipes.LOGIN
    sessions.SessionStore sessions.middleware.SessionMiddleware sessions.index.active_sessions
    sessions.index.end_session sessions.index.logout_everywhere sessions.index.count_sessions
    signals.backend_changed signals.upstash_unavailable
    signals.invalidate_on_save signals.budget_changed
    federation.Queue federation.Channel federation.tasks.UpstashTasks
    federation.sync_header.SyncTokenMiddleware federation.sync_header.make_sync_headers
    federation.sync_header.apply_sync_headers federation.worker.worker.Worker
    federation.errors.ImproperlyConfiguredFederation federation.errors.PayloadRejected
    federation.errors.EventsLost
    migration.MigratingCache migration.rollout.read_rollout migration.rollout.write_rollout
    migration.rollout.override_rollout migration.rollout.Rollout migration.rollout.Phase
    migration.rollout.RolloutRefused
    stats.lifespan.handle_lifespan stats.toolbar.UpstashPanel
    urls.urlpatterns
    emulator.process.running
"""
COMMANDS = """
    cache_cleanup cache_cost cache_doctor cache_migrate cache_stats federation_worker ratelimit
    upstash_emulator
"""


@pytest.mark.parametrize("path", PATHS.split())
def test_a_public_path_can_be_imported(path):
    assert import_string(f"continuum_upstash.{path}") is not None


def test_the_panel_s_app_label_stays():
    model = import_string("continuum_upstash.panel.models.CacheHealth")
    assert model._meta.label == "continuum_upstash_panel.CacheHealth"


def test_the_commands_keep_their_names():
    ours = {name for name, app in get_commands().items() if app == "continuum_upstash"}
    assert ours >= set(COMMANDS.split())


def test_the_emulator_can_be_run_as_a_module():
    assert find_spec("continuum_upstash.emulator.__main__") is not None


def test_the_pytest_plugin_is_an_entry_point():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    plugin = project["entry-points"]["pytest11"]["continuum_upstash"]
    assert plugin == "continuum_upstash.emulator.pytest_plugin"
    assert import_module(plugin).upstash_emulator
