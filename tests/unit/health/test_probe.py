from __future__ import annotations

import pytest
from django.utils import translation

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.health.probe import Health, ServerInfo, list_upstash_aliases, probe_health
from continuum_upstash.observe import BackendStatus
from continuum_upstash.transports.service_errors import make_reply_error
from tests.conftest import SyncOrAsync

INFO = b"redis_version:8.2.0\r\nmaxmemory_policy:%b\r\ntotal_data_size:%d\r\nmax_data_size:1000\r\n"


def status(state="closed", backend="upstash-rest", writes="accepted"):
    return BackendStatus(backend, state, "started", 0.0, None, 0, 0, 0, writes=writes)


def make_health(**changes):
    values = {
        "alias": "default",
        "mode": "rest",
        "host": "db.upstash.io",
        "label": "cache 'default' (rest, db.upstash.io)",
        "at": 0.0,
        "status": status(),
        "fallback": True,
        "round_trip": 0.002,
        "server": None,
        "errors": (),
    }
    return Health(**values | changes)


def server(memory=0, limit=1000, policy="noeviction"):
    return ServerInfo("8.2.0", 5, memory, limit, policy, {"raw": "fields"})


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "ok"),
        ({"server": server(840)}, "ok"),
        ({"server": server(860)}, "degraded"),
        ({"server": server(860, limit=0)}, "ok"),
        ({"server": server(1000)}, "degraded"),
        ({"status": status(writes="full")}, "degraded"),
        ({"status": status(writes="read_only")}, "degraded"),
        ({"errors": ("NOPERM",)}, "degraded"),
        ({"setup_hint": "Set the variables."}, "degraded"),
        ({"status": status("disabled")}, "ok"),
        ({"status": status("open", "local")}, "degraded"),
        ({"round_trip": None}, "degraded"),
        ({"round_trip": None, "fallback": False}, "down"),
        ({"round_trip": None, "fallback": False, "status": status("open")}, "down"),
    ],
)
def test_the_verdict(changes, verdict):
    assert make_health(**changes).verdict == verdict


@pytest.mark.parametrize(
    ("changes", "is_full"),
    [
        ({"server": server(1000)}, True),
        ({"server": server(1100)}, True),
        ({"server": server(999)}, False),
        ({"server": server(1100, policy="optimistic-volatile")}, False),
        ({"server": server(1100, limit=0)}, False),
        ({"status": status(writes="full")}, True),
        ({"status": status(writes="read_only")}, False),
    ],
)
def test_a_full_database_is_named_full(changes, is_full):
    health = make_health(**changes)
    assert health.is_full is is_full
    assert any("database is full" in text for text in health.warnings) is is_full


@pytest.mark.parametrize(("fallback", "effect"), [(True, "local store"), (False, "they fail")])
def test_a_database_that_accepts_no_writes_is_a_warning(fallback, effect):
    (warning,) = make_health(status=status(writes="read_only"), fallback=fallback).warnings
    assert "accepts no writes" in warning
    assert effect in warning


def test_health_as_json():
    values = make_health(server=server(860)).as_dict()
    assert values["verdict"] == "degraded"
    assert values["server"]["memory_used"] == 0.86
    assert "raw" not in values["server"]
    assert len(values["warnings"]) == 1
    assert make_health().as_dict()["server"] is None
    (warning,) = make_health(setup_hint="Set the variables.").as_dict()["warnings"]
    assert warning.endswith("Set the variables.")


def test_warnings_are_in_the_active_language_and_english_as_json():
    health = make_health(server=server(860))
    with translation.override("de"):
        (warning,) = health.warnings
        (as_json,) = health.as_dict()["warnings"]
    assert warning.startswith("86 % des Speicherlimits sind belegt")
    assert as_json.startswith("86 % of the memory limit is used")


@pytest.mark.parametrize(("policy", "evicts"), [("noeviction", False), ("", False), ("lru", True)])
def test_eviction(policy, evicts):
    assert server(policy=policy).evicts is evicts


class Cache:
    """Runs a plan with one canned result."""

    def __init__(self, cache, result):
        self.database, self._result, self.batches = cache.database, result, []

    def run(self, plan):
        try:
            self.batches.append(next(plan))
            if isinstance(self._result, Exception):
                plan.throw(self._result)
            plan.send(self._result)
        except StopIteration as stop:
            return stop.value

    arun = None


def probe(make_cache, result):
    cache = Cache(make_cache("local"), result)
    return cache.run(probe_health(cache)), cache.batches


def test_a_probe_is_one_round_trip_that_is_not_billed(make_cache):
    found, (batch,) = probe(make_cache, [b"PONG", INFO % (b"noeviction", 250)])
    assert list(batch.commands) == [("PING",), ("INFO",)]
    assert batch.needs_server
    assert (found.server.memory_ratio, found.server.policy) == (0.25, "noeviction")


@pytest.mark.parametrize(
    ("result", "replied", "errors"),
    [
        (ConnectionFailed("connection refused"), False, ("connection refused",)),
        ([b"PONG", make_reply_error("NOPERM no INFO")], True, 1),
        ([make_reply_error("NOAUTH"), make_reply_error("NOAUTH")], False, 1),
    ],
)
def test_errors_become_part_of_the_result(result, replied, errors, make_cache):
    found, _ = probe(make_cache, result)
    assert (found.round_trip is not None, found.server) == (replied, None)
    assert found.errors == errors or len(found.errors) == errors


def test_a_local_cache_is_ok(make_cache, api, request):
    runner = request.getfixturevalue("runner") if api == "async" else None
    cache = make_cache("local")
    assert SyncOrAsync(cache, runner).run(probe_health(cache)).verdict == "ok"


def test_only_aliases_of_this_package_are_listed(settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        "ours": {"BACKEND": "continuum_upstash.backend.CacheBackend"},
        "broken": {"BACKEND": "there.is.none"},
    }
    assert list_upstash_aliases() == ["ours"]
