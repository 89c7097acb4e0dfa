from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command

from continuum_upstash.stats.shared import writer
from continuum_upstash.transports import registry
from tests.integration.management.command_runs import cache, entry, ran

NAMES = {
    "alias", "verdict", "status", "server", "round_trip", "recent", "today", "bill", "families",
    "scope", "since_seconds", "spent", "errors", "warnings", "mode", "host", "label", "at",
    "fallback",
}  # fmt: skip


@pytest.fixture(autouse=True)
def site(emulator, settings, new_process_state):
    """One alias whose statistics are shared at every batch."""
    settings.CACHES = {"default": entry(emulator, KEY_PREFIX="shop")}
    settings.CONTINUUM_STATS = {"INTERVAL": 0, "SHARE": 1000}
    writer.start()
    yield
    writer.stop()
    registry.reset()


def used():
    cache().set("query:1", "value")
    for key in ("query:1", "query:1", "query:1", "missing"):
        cache().get(key)
    cache().client.ping()  # a batch carries what was counted before it


def only(ended):
    (found,) = ended.json["caches"]
    return found


def test_what_all_processes_did():
    used()
    ended = ran("cache_stats", "--format", "json")
    found = only(ended)
    assert (ended.code, ended.json["schema"], found.keys()) == (0, 1, NAMES)
    assert (found["scope"], found["verdict"]) == ("all processes", "ok")
    recent = found["recent"]
    assert (recent["hits"], recent["misses"], recent["sets"]) == (3, 1, 1)
    assert recent["hit_rate"] == 0.75
    assert 0 < recent["p50_seconds"] <= recent["p95_seconds"] <= recent["p99_seconds"]
    assert found["bill"]["plan"] == "free"
    assert found["bill"]["commands"] == found["today"]["billed"] + found["today"]["overhead"] > 5


def test_the_table_is_for_people():
    used()
    ended = ran("cache_stats", "--since", "7d")
    assert ended.code == 0
    for words in ("cache 'default' (rest,", "hit rate     75.0%", "of all processes, last 7d"):
        assert words in ended.out


def test_prometheus_text():
    used()
    lines = ran("cache_stats", "--format", "prometheus").out.splitlines()
    assert 'continuum_cache_hits_total{alias="default"} 3' in lines
    assert "# TYPE continuum_cache_latency_seconds histogram" in lines
    infinite = next(line for line in lines if 'le="+Inf"' in line)
    counted = next(line for line in lines if line.startswith("continuum_cache_latency_seconds_c"))
    assert infinite.split()[-1] == counted.split()[-1]
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert int(values['continuum_cache_requests_total{alias="default"}']) >= 5
    assert values['continuum_cache_commands_total{alias="default",operation="GET"}'] == "4"
    assert values['continuum_cache_breaker_state{alias="default",state="closed"}'] == "1"
    assert values['continuum_cache_breaker_state{alias="default",state="open"}'] == "0"
    assert 0 < float(values['continuum_cache_memory_used_ratio{alias="default"}']) < 1
    assert 0 < float(values['continuum_cache_commands_used_ratio{alias="default"}']) < 1


def test_families_of_a_sample():
    cache().set_many({f"query:{i}": i for i in range(30)} | {f"page:{i}": i for i in range(10)})
    cache().set("lonely", 1)
    found = only(ran("cache_stats", "--format", "json", "--families"))["families"]
    assert [(each["name"], each["seen"]) for each in found] == [
        ("query:", 30),
        ("page:", 10),
        ("(no family)", 1),
    ]


@pytest.mark.parametrize(("sample", "most"), [("1000", 1), ("1001", 2), ("5000", 5)])
def test_a_sample_walks_no_more_than_its_size_among_others_keys(sample, most, emulator, settings):
    settings.CACHES["big"] = entry(emulator, KEY_PREFIX="big")
    for n in range(0, 12_000, 4_000):
        cache("big").set_many({f"q:{i}": 1 for i in range(n, n + 4_000)}, None)
    writer.stop()
    arguments = ("cache_stats", "--cache", "default", "--format", "json")
    _, without = (only(ran(*arguments))["spent"] for _ in range(2))  # the first reads the month
    assert only(ran(*arguments, "--families", "--sample", sample))["spent"] - without <= most


def test_more_than_is_kept_is_what_is_kept(emulator):
    used()
    writer.stop()
    with emulator.count() as spent:
        found = only(ran("cache_stats", "--format", "json", "--since", "365d"))
    assert (found["since_seconds"], found["recent"]["hits"]) == (32 * 86400, 3)
    assert spent.billed <= 33 + 31  # a day each of the span, and of the month with today


def test_an_unknown_plan_hides_the_bill_and_nothing_else(settings):
    used()
    settings.CONTINUUM_STATS = {"PLAN": "gold"}
    ended = ran("cache_stats")
    assert (ended.code, "write one of free" in ended.out) == (0, True)
    assert "hit rate     75.0%" in ended.out


@pytest.mark.parametrize("families", [(), ("--families",)])
def test_it_says_what_it_costs_itself(families, emulator):
    used()
    with emulator.count() as counted:
        found = only(ran("cache_stats", "--format", "json", *families))
    assert found["spent"] == counted.billed


def test_what_nobody_shares_is_not_shown_as_if_somebody_did():
    writer.stop()
    cache().get("k")
    assert "figures      no history yet" in ran("cache_stats").out
    found = only(ran("cache_stats", "--format", "json"))
    assert (found["scope"], found["recent"]["misses"], found["bill"]) == ("this process", 1, None)
    text = ran("cache_stats", "--format", "prometheus").out
    assert 'continuum_cache_misses_total{alias="default"}' not in text
    assert 'continuum_cache_breaker_state{alias="default",state="closed"} 1' in text


def test_a_local_cache(settings, emulator):
    settings.CACHES = {"default": entry(None, "local")}
    ended = ran("cache_stats", "--format", "json")
    assert (ended.code, only(ended)["mode"], only(ended)["verdict"]) == (0, "local", "ok")


def test_an_outage_is_2_and_still_shown(emulator):
    used()
    with emulator.fault("refuse"):
        ended = ran("cache_stats", "--format", "json")
    found = only(ended)
    assert (ended.code, found["verdict"], found["round_trip"]) == (2, "degraded", None)
    assert found["errors"]


def test_a_read_only_token_sees_all_but_families(emulator, settings):
    used()
    options = {"TOKEN": emulator.read_only_token}
    settings.CACHES = {"default": entry(emulator, KEY_PREFIX="shop", OPTIONS=options)}
    ended = ran("cache_stats", "--format", "json", "--families")
    found = only(ended)
    assert (ended.code, found["scope"], found["families"]) == (0, "all processes", None)
    assert "No families" in ended.err


def test_a_cache_without_credentials_is_degraded(settings):
    settings.CACHES = {"default": entry(None, "forgotten")}
    ended = ran("cache_stats", "--fail-on", "degraded")
    assert ended.code == 1
    assert "Set UPSTASH_REDIS_REST_URL" in ended.out
    settings.CACHES = {"default": entry(None, "local")}
    assert ran("cache_stats", "--fail-on", "degraded").code == 0


def test_degraded_fails_when_asked_to(monkeypatch):
    assert ran("cache_stats", "--fail-on", "degraded").code == 0
    monkeypatch.setattr("continuum_upstash.health.probe.MEMORY_WARN_RATIO", 0.0)
    assert ran("cache_stats").code == 0
    ended = ran("cache_stats", "--fail-on", "degraded")
    assert (ended.code, "warning" in ended.out) == (1, True)


def test_a_breaker_that_is_held_open_is_2():
    cache().database.failover.breaker.force_open()
    ended = ran("cache_stats")
    assert (ended.code, "forced_open" in ended.out) == (2, True)


class Terminal(StringIO):
    def isatty(self):
        return True


def test_watching_redraws_until_ctrl_c(monkeypatch):
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("continuum_upstash.management.commands.cache_stats.time.sleep", sleep)
    out = Terminal()
    call_command("cache_stats", "--watch", "5", stdout=out)
    assert looks == [5, 5, 5]
    assert out.getvalue().count("cache 'default'") == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cache", "nobody"], "There is default."),
        (["--watch", "1"], "terminal"),
        (["--since", "soon"], "15m"),
        (["--since", "1000000d"], "32d"),
        (["--since", "99999999999d"], "32d"),
        (["--format", "xml"], "invalid choice"),
    ],
)
def test_misuse_is_2(arguments, words, capsys):
    ended = ran("cache_stats", *arguments)
    assert words in ended.error
    assert ended.code == 2 or "argument" in ended.error


def test_the_guides_counters_are_read_from_the_cache_itself():
    used()
    assert cache().get("stats:cache_hits") == 3
    assert cache().get("stats:cache_misses") == 1
