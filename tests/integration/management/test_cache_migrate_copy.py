"""``cache_migrate copy``: what arrives in the target, and what is said about the rest."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from datetime import date

import pytest
from django.core.cache import caches
from django_redis.pool import ConnectionFactory

from continuum_upstash.backend import get_cache
from continuum_upstash.management.migration.copy_action import CopyAction
from continuum_upstash.migration.conf import BACKEND as MIGRATING
from continuum_upstash.migration.rollout import write_rollout
from tests.integration.cache_entries import BACKEND, make_entry
from tests.integration.management.command_runs import run_command
from tests.waiting import wait_until


@pytest.fixture(autouse=True, params=["rest", "tcp"])
def two_caches(site, request, emulator, valkey):
    site.CACHES = {
        "default": make_entry(emulator, request.param, KEY_PREFIX="new"),
        "old": {"BACKEND": BACKEND, "LOCATION": valkey.url, "KEY_PREFIX": "o[1]", "VERSION": 3},
        "other": {"BACKEND": BACKEND, "LOCATION": valkey.url, "KEY_PREFIX": "other"},
    }


def copy(*arguments):
    return run_command("cache_migrate", "copy", "--from", "old", "--to", "default", *arguments)


def copy_json(*arguments):
    return copy("--format", "json", *arguments).json


def test_values_and_expiry_are_copied_to_the_keys_of_the_target():
    old, new = get_cache("old"), get_cache()
    values = {"text": "ü", "int": 5, "dict": {"d": date(2026, 1, 31)}, "bytes": b"\xff\x00"}
    old.set_many(values, 1000)
    old.set("forever", [1], None)
    get_cache("other").set("text", "of another alias")
    run = copy()
    assert (run.code, run.error) == (0, "")
    assert new.get_many([*values, "forever"]) == {**values, "forever": [1]}
    assert new.ttl("forever") is None
    assert all(998 <= new.ttl(key) <= 1000 for key in values)
    assert len(new.keys("*")) == 5
    assert "5 keys match (5 string)" in run.out


def test_collections_are_copied_with_their_expiry():
    old, new = get_cache("old"), get_cache()
    fields = {f"f{i}": i for i in range(700)}
    old.hset("hash", mapping=fields)
    old.rpush("list", *range(450))
    old.sadd("set", "a", (1, 2), b"\xff")
    old.zadd("board", {"a": 1.5, "b": 3})
    old.expire("list", 500)
    report = copy_json()
    assert report["types"] == {"hash": 1, "list": 1, "set": 1, "zset": 1}
    assert report["outcomes"] == {"copied": 4}
    assert new.hgetall("hash") == fields
    assert new.lrange("list", 0, -1) == list(range(450))
    assert new.smembers("set") == {"a", (1, 2), b"\xff"}
    assert new.zrange("board", 0, -1, withscores=True) == [("a", 1.5), ("b", 3.0)]
    assert 498 <= new.ttl("list") <= 500
    assert new.ttl("hash") is None
    assert new.client.redis.keys("continuum:*") == []


def test_existing_keys_are_kept_unless_overwrite_is_confirmed(monkeypatch):
    old, new = get_cache("old"), get_cache()
    old.set("a", "old", 100)
    old.sadd("s", "old")
    new.set("a", "new", None)
    new.sadd("s", "new")
    assert copy_json()["outcomes"] == {"existing": 2}
    assert (new.get("a"), new.smembers("s")) == ("new", {"new"})
    refused = copy("--overwrite")
    assert (refused.code, new.get("a")) == (2, "new")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    assert copy("--overwrite").code == 0
    assert (new.get("a"), new.smembers("s")) == ("old", {"old"})
    assert 98 <= new.ttl("a") <= 100


def test_a_dry_run_announces_the_commands_of_the_copy(emulator, valkey):
    get_cache("old").set_many({f"k{i}": "x" * 100 for i in range(2500)}, 60)
    dry = copy_json("--dry-run")
    assert (dry["outcomes"], dry["scanned"], dry["dry_run"]) == ({"selected": 2500}, 2500, True)
    assert dry["bytes"] == 2500 * 102
    assert get_cache().keys() == []
    with emulator.count() as spent:
        done = copy_json()
    assert spent.billed == done["target_commands"] == dry["target_commands"] == 2500
    assert abs(done["source_commands"] - dry["source_commands"]) <= 10
    assert done["dollars"] == round(2500 * 0.2 / 100_000, 4) or done["dollars"] == 0


def test_what_is_not_copied_is_counted_and_listed(valkey):
    old = get_cache("old")
    old.set_many({"ok": 1, "large": "x" * 5000, "short": 1})
    old.expire("short", 20)
    valkey.call("XADD", old.make_key("stream"), "*", "f", "v")
    run = copy("--max-value-bytes", "4096", "--min-ttl", "1m", "--format", "json")
    assert run.code == 1
    assert run.json["outcomes"] == {"copied": 1, "too_large": 1, "expiring": 1, "unsupported": 1}
    listed = {each["key"].rpartition(":")[2]: each["outcome"] for each in run.json["problems"]}
    assert listed == {"large": "too_large", "stream": "unsupported"}
    assert "o[1]:3:large: too large (5003 bytes)" in run.err
    assert "2 keys were not copied" in run.error


def test_the_keys_of_sessions_are_not_shown(valkey):
    key = get_cache("old").make_key("django.contrib.sessions.cacheabcdefgh12345678")
    valkey.call("XADD", key, "*", "f", "v")
    run = copy()
    assert "the key of a session: unsupported" in run.err
    assert "abcdefgh" not in run.out + run.err + run.error


def test_a_pattern_and_a_type_select_keys():
    old, new = get_cache("old"), get_cache()
    old.set_many({"a:1": 1, "b:1": 1})
    old.sadd("a:s", 1)
    assert copy_json("--match", "a:*", "--type", "string")["outcomes"] == {"copied": 1}
    assert new.keys("*") == ["a:1"]


def test_keys_of_another_version_keep_it():
    old, new = get_cache("old"), get_cache()
    old.set("k", "2", version=2)
    old.set("k", "3")
    assert copy_json("--key-version", "2")["outcomes"] == {"copied": 1}
    assert (new.get("k", version=2), new.get("k")) == ("2", None)


@pytest.mark.parametrize(
    ("phase", "code", "words"),
    [
        ("shadow", 0, ""),
        ("off", 0, "Set the phase shadow first"),
        ("new_only", 2, "may be outdated and are not copied"),
    ],
)
def test_the_phase_of_a_migration_decides_whether_to_copy(phase, code, words, site):
    options = {"OLD": "old", "NEW": "default", "PHASE": phase}
    site.CACHES = site.CACHES | {"moving": {"BACKEND": MIGRATING, "OPTIONS": options}}
    get_cache("old").set("k", 1)
    run = run_command("cache_migrate", "copy")
    assert (run.code, words in run.err + run.error) == (code, True)
    assert get_cache().get("k") == (None if code else 1)


def test_a_copy_ends_when_the_old_cache_receives_no_more_writes(site, monkeypatch):
    options = {"OLD": "old", "NEW": "default", "PHASE": "new_primary"}
    site.CACHES = site.CACHES | {"moving": {"BACKEND": MIGRATING, "OPTIONS": options}}
    get_cache("old").set_many({f"k{i}": i for i in range(5000)}, None)
    module = "continuum_upstash.management.migration.copy_action"
    monkeypatch.setattr(f"{module}._PHASE_SECONDS", 0.0)
    find_phase = CopyAction._find_phase

    def change_phase(action):
        found = find_phase(action)
        write_rollout("moving", phase="new_only", force=True)
        return found

    monkeypatch.setattr(CopyAction, "_find_phase", change_phase)
    run = run_command("cache_migrate", "copy")
    assert (run.code, "The phase is new_only" in run.error) == (2, True)
    assert 0 < len(get_cache().keys()) < 5000


def test_collections_that_a_migration_keeps_on_one_side_are_not_copied(site):
    options = {"OLD": "old", "NEW": "default", "PHASE": "shadow"}
    site.CACHES = site.CACHES | {"moving": {"BACKEND": MIGRATING, "OPTIONS": options}}
    old, new = get_cache("old"), get_cache()
    old.set("text", 1)
    old.sadd("set", 1)
    run = run_command("cache_migrate", "copy", "--format", "json")
    assert (run.code, run.json["outcomes"]) == (0, {"copied": 1, "one_sided": 1})
    assert new.keys("*") == ["text"]
    verify = run_command("cache_migrate", "verify", "--sample", "100%", "--format", "json")
    assert verify.json["outcomes"] == {"same": 1, "skipped": 1}
    assert run_command("cache_migrate", "copy", "--type", "set").code == 0
    assert new.smembers("set") == {1}


def test_old_values_of_an_alias_are_stored_in_the_format_of_this_package(site, valkey):
    options = {"OLD_VALUES": {"SERIALIZER": "pickle", "TRUST_PICKLES": True}}
    entry = {**site.CACHES["old"], "OPTIONS": options}
    site.CACHES = site.CACHES | {"old": entry}
    old, new = get_cache("old"), get_cache()
    old.set("own", {"a": 1})
    old.set("early", "x", tags=["t"])
    valkey.call("SET", old.make_key("old"), pickle.dumps({"b": (1, 2)}))
    assert copy_json()["outcomes"] == {"copied": 3}
    assert new.get_many(["own", "old"]) == {"own": {"a": 1}, "old": {"b": (1, 2)}}
    pair = ["--from", "old", "--to", "default", "--sample", "100%"]
    assert run_command("cache_migrate", "verify", *pair).code == 0


def test_raw_keys_stay_the_same_and_what_belongs_to_a_database_is_left_out(valkey, emulator):
    valkey.call("SET", "any:key", "v")
    valkey.call("SET", "continuum:stats:x", "v")
    valkey.call("SET", "continuum:session:shop:abc", "v")
    assert copy_json("--raw")["outcomes"] == {"copied": 2}
    names = sorted(get_cache().client.redis.keys("*"))
    assert names == ["any:key", "continuum:session:shop:abc"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "old"], "--from and --to, or by --cache"),
        (["--from", "old", "--to", "old"], "the same alias"),
        (["--from", "unknown", "--to", "default"], "CACHES has no alias 'unknown'"),
        (["--from", "old", "--to", "memory"], "copied to continuum_upstash.backend"),
        (["--from", "memory", "--to", "default"], "nothing to copy"),
        ([], "No entry of CACHES has the BACKEND continuum_upstash.migration.MigratingCache"),
        (["--cache", "old"], "Cache 'old' does not have the BACKEND"),
        (["--from", "old", "--to", "local"], "its mode is local"),
        (["--from", "local", "--to", "default"], "its mode is local"),
    ],
)
def test_invalid_arguments_exit_with_2_and_a_hint(arguments, words, site):
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    local = {"BACKEND": BACKEND, "OPTIONS": {"MODE": "local"}}
    site.CACHES = site.CACHES | {"memory": memory, "local": local}
    run = run_command("cache_migrate", "copy", *arguments)
    assert run.code == 2
    assert words in run.error


DJANGO_REDIS = "django_redis.cache.RedisCache"
OTHERS = {
    "RedisCache": ("django.core.cache.backends.redis.RedisCache", {}),
    "django-redis": (DJANGO_REDIS, {}),
    "django-redis, JSON, zlib": (
        DJANGO_REDIS,
        {
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor",
        },
    ),
    "django-redis, msgpack": (
        DJANGO_REDIS,
        {"SERIALIZER": "django_redis.serializers.msgpack.MSGPackSerializer"},
    ),
    "HerdClient": (DJANGO_REDIS, {"CLIENT_CLASS": "django_redis.client.HerdClient"}),
}


@pytest.fixture(params=OTHERS)
def other(request, site, valkey, monkeypatch):
    """A cache of another package, with a password."""
    backend, options = OTHERS[request.param]
    # django-redis keeps pools by URL alone: another test's pool has no password.
    monkeypatch.setattr(ConnectionFactory, "_pools", {})
    valkey.call("CONFIG", "SET", "requirepass", "s3cret")
    name = "password" if request.param == "RedisCache" else "PASSWORD"
    entry = {"BACKEND": backend, "LOCATION": valkey.url, "KEY_PREFIX": "o"}
    site.CACHES = site.CACHES | {"old": {**entry, "OPTIONS": {name: "s3cret", **options}}}
    old = caches["old"]
    yield old
    client = old.client.get_client() if backend == DJANGO_REDIS else old._cache.get_client()
    client.connection_pool.disconnect()


def test_caches_of_other_packages_are_sources(other):
    values = {"counter": 41, "text": "ü" * 100, "list": [1, "a", {"b": None}], "none": None}
    other.set_many(values, 300)
    run = copy("--trust-pickles")
    assert (run.code, run.error) == (0, "")
    assert get_cache().get_many(values) == values
    assert get_cache().incr("counter") == 42
    assert 298 <= get_cache().ttl("text") <= 361  # HerdClient keeps values for a minute more
    get_cache().set("counter", 41, get_cache().ttl("text"))
    pair = ["--from", "old", "--to", "default", "--sample", "100%", "--trust-pickles"]
    assert run_command("cache_migrate", "verify", *pair).code == 0


def test_pickles_are_loaded_only_if_they_are_trusted(other):
    other.set("k", "v")
    run = copy()
    is_safe = type(getattr(getattr(other, "client", None), "_serializer", None)).__name__ in {
        "JSONSerializer",
        "MSGPackSerializer",
    }
    assert run.code == (0 if is_safe else 2)
    assert is_safe or "pass --trust-pickles" in run.error
    assert get_cache().get("k") == ("v" if is_safe else None)
    assert copy("--dry-run").code == 0


def test_raw_values_of_another_package_stay_the_same(site, valkey, request):
    is_rest = "TOKEN" in site.CACHES["default"]["OPTIONS"]
    site.CACHES = site.CACHES | {"old": {"BACKEND": DJANGO_REDIS, "LOCATION": valkey.url}}
    valkey.call("SET", "own:text", "ü [1")
    valkey.call("HSET", "own:hash", "f", "[1")
    valkey.call("SET", "own:binary", b"\xff\x00", "PX", 60_000)
    run = copy("--raw", "--match", "own:*")
    client = get_cache().client.redis
    assert (client.get("own:text"), client.hgetall("own:hash")) == ("ü [1", {"f": "[1"})
    assert run.code == (1 if is_rest else 0)
    assert ("own:binary: unreadable (binary data: copy it over TCP" in run.err) is is_rest


def test_the_collections_of_django_redis_are_converted(site, valkey):
    entry = {"BACKEND": DJANGO_REDIS, "LOCATION": valkey.url, "KEY_PREFIX": "o"}
    site.CACHES = site.CACHES | {"old": entry}
    old, new = caches["old"], get_cache()
    old.hset("h", mapping={"f": [1], "n": 5})
    old.sadd("s", "a", (1, 2))
    old.zadd("z", {"a": 1.5})
    assert copy("--trust-pickles").code == 0
    assert (new.hgetall("h"), new.smembers("s")) == ({"f": [1], "n": 5}, {"a", (1, 2)})
    assert new.zrange("z", 0, -1, withscores=True) == [("a", 1.5)]
    assert new.sismember("s", (1, 2))
    pair = ["--from", "old", "--to", "default", "--sample", "100%", "--trust-pickles"]
    assert run_command("cache_migrate", "verify", *pair).code == 0
    old.client.get_client().connection_pool.disconnect()


PROGRAM = """
import json, os, sys, django
from django.conf import settings
settings.configure(
    CACHES=json.loads(os.environ["CACHES"]),
    INSTALLED_APPS=["continuum_upstash"], CONTINUUM_STATS={"SHARED": False}, SECRET_KEY="s",
)
django.setup()
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "cache_migrate", "copy", *sys.argv[1:]])
"""


@pytest.mark.parametrize("two_caches", ["rest"], indirect=True)
def test_a_copy_that_was_killed_continues_and_misses_no_key(site, valkey, tmp_path):
    old, new = get_cache("old"), get_cache()
    old.set_many({f"k{i}": i for i in range(3000)}, None)
    file = tmp_path / "checkpoint.json"
    pair = ["--from", "old", "--to", "default", "--checkpoint", str(file)]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *pair, "--rate", "200/s"],
        env=os.environ | {"CACHES": json.dumps(site.CACHES)},
    )
    wait_until(file.exists, seconds=60)
    process.kill()
    process.wait()
    assert 200 <= len(new.keys("*")) < 3000
    mismatch = run_command("cache_migrate", "copy", *pair, "--min-ttl", "5")
    assert (mismatch.code, "belongs to another copy" in mismatch.error) == (2, True)
    run = run_command("cache_migrate", "copy", *pair)
    assert run.code == 0
    assert "Continuing after" in run.err
    assert len(new.keys("*")) == 3000
    again = run_command("cache_migrate", "copy", *pair, "--format", "json")
    assert again.json["outcomes"] == {"existing": 3000}
    assert "was complete" in again.err


def test_ctrl_c_says_how_to_continue(monkeypatch, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    get_cache("old").set_many({f"k{i}": i for i in range(3000)})
    file = tmp_path / "checkpoint.json"
    monkeypatch.setattr("continuum_upstash.management.progress.Progress.show", interrupt)
    run = copy("--checkpoint", str(file))
    assert (run.code, f"--checkpoint {file}" in run.error) == (130, True)
    assert json.loads(file.read_text())["progress"]["pages"] == 1


def test_an_outage_of_a_database_exits_with_2(emulator, monkeypatch, site):
    site.CACHES = site.CACHES | {"default": make_entry(emulator)}
    monkeypatch.setattr("continuum_upstash.migration.copying.link.PAUSES", (0.0,))
    get_cache("old").set("k", 1)
    with emulator.fault("refuse"):
        run = copy()
    assert run.code == 2
    assert "Run the command again" in run.error
    assert emulator.token not in run.error
