"""``cache_migrate verify``: every kind of difference is found, and only differences."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from continuum_upstash.backend import get_cache
from tests.integration.cache_entries import BACKEND, make_entry
from tests.integration.management.command_runs import run_command

PAIR = ["--from", "old", "--to", "default"]


@pytest.fixture(autouse=True, params=["rest", "tcp"])
def two_caches(site, request, emulator, valkey):
    site.CACHES = {
        "default": make_entry(emulator, request.param, KEY_PREFIX="new"),
        "old": {"BACKEND": BACKEND, "LOCATION": valkey.url, "KEY_PREFIX": "old"},
    }


def copy():
    assert run_command("cache_migrate", "copy", *PAIR).code == 0


def verify(*arguments):
    return run_command("cache_migrate", "verify", *PAIR, "--format", "json", *arguments)


def fill():
    old = get_cache("old")
    values = {"a": "ü", "b": 5, "c": {"d": date(2026, 1, 31)}, "e": b"\xff\x00", "f": float("nan")}
    old.set_many({f"query:{name}": value for name, value in values.items()}, 1000)
    old.set("page:1", [Decimal(1), {1, 2}], None)
    old.set("tagged", "x", 60, tags=["t"])
    old.set("last", "x", 1)
    old.hset("h:1", mapping={f"f{i}": {"n": i} for i in range(600)})
    old.rpush("l:1", *range(450))
    old.sadd("s:1", "a", (1, 2), b"\xff")
    old.zadd("z:1", {"a": 1.5, "b": 3})


def test_copied_keys_are_the_same():
    fill()
    copy()
    run = verify("--sample", "100%")
    assert (run.code, run.json["verdict"], run.json["complete"]) == (0, "same", True)
    assert run.json["outcomes"] == {"same": 11, "skipped": 1}
    assert run.json["families"]["query:"] == {"same": 5}


@pytest.mark.parametrize(
    ("change", "key", "outcome"),
    [
        (lambda new: new.delete("page:1"), "page:1", "missing"),
        (lambda new: new.set("query:b", 6, 1000), "query:b", "value"),
        (lambda new: new.set("query:b", "5", 1000), "query:b", "value"),
        (lambda new: new.expire("query:b", 990), "query:b", "ttl"),
        (lambda new: new.persist("query:b"), "query:b", "ttl"),
        (lambda new: new.hset("h:1", "f5", 0), "h:1", "value"),
        (lambda new: new.hdel("h:1", "f5"), "h:1", "value"),
        (lambda new: new.lset("l:1", 440, "x"), "l:1", "value"),
        (lambda new: new.smove("s:1", "other", "a") and new.sadd("s:1", "b"), "s:1", "value"),
        (lambda new: new.zadd("z:1", {"a": 2}), "z:1", "value"),
        (lambda new: new.expire("z:1", 90), "z:1", "ttl"),
        (lambda new: new.delete("z:1"), "z:1", "missing"),
        (lambda new: new.delete("z:1") and new.set("z:1", 1, None), "z:1", "value"),
        (lambda new: new.delete("query:a") and new.sadd("query:a", 1), "query:a", "value"),
    ],
)
def test_a_difference_is_found(change, key, outcome):
    fill()
    copy()
    change(get_cache())
    run = verify("--sample", "100%")
    assert run.code == 1
    assert run.json["differences"] == [{"key": f"old:1:{key}", "outcome": outcome}]
    assert f"Different: old:1:{key}: {outcome}" in run.err
    assert "--tolerance is 0.1 %" in run.error
    assert verify("--sample", "100%", "--tolerance", "10").code == 0


def test_a_comparison_of_no_key_fails():
    fill()
    copy()
    run = verify("--sample", "100%", "--match", "querry:*")
    assert (run.code, run.json["verdict"]) == (1, "unknown")
    assert "No key was compared" in run.error


def test_a_lifetime_may_differ_by_two_seconds():
    get_cache("old").set("k", 1, 1000)
    copy()
    get_cache().expire("k", 998)
    assert verify("--sample", "100%").code == 0


def test_the_sample_is_a_share_or_a_number_of_keys(emulator):
    get_cache("old").set_many({f"k{i}": i for i in range(4000)}, None)
    copy()
    with emulator.count() as spent:
        shares = [verify("--sample", f"{share}%").json for share in (5, 20)]
    assert spent.billed == sum(each["target_commands"] for each in shares)
    assert 120 < shares[0]["checked"] < 300
    assert 600 < shares[1]["checked"] < 1000
    assert shares[0]["target_commands"] < 400
    limited = verify("--sample", "70").json
    assert (limited["checked"], limited["complete"], limited["pages"]) == (70, False, 1)


@pytest.mark.parametrize("sample", ["0", "x", "101%", "1.5"])
def test_an_invalid_sample_exits_with_an_explanation(sample):
    run = verify("--sample", sample)
    assert run.error.startswith("Error: argument --sample")


def test_a_text_report_names_the_families():
    fill()
    copy()
    run = run_command("cache_migrate", "verify", *PAIR, "--sample", "100%")
    assert run.code == 0
    assert "11 keys compared: 0 % differ (0 missing, 0 ttl, 0 value)." in run.out
    row = next(line for line in run.out.splitlines() if line.startswith("query:"))
    assert row.split() == ["query:", "5", "0", "0", "0", "0"]
