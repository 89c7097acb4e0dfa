from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import call_command

from continuum_upstash import UpstashCache
from continuum_upstash.backend import get_cache
from continuum_upstash.stats.shared import writer
from tests.integration.cache_entries import make_entry
from tests.integration.management.command_runs import run_command

NAMES = {
    "alias", "verdict", "status", "server", "round_trip", "recent", "today", "bill", "families",
    "scope", "since_seconds", "spent", "errors", "warnings", "mode", "host", "label", "at",
    "fallback",
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("shared_statistics")


def use_cache():
    get_cache().set("query:1", "value")
    for key in ("query:1", "query:1", "query:1", "missing"):
        get_cache().get(key)
    get_cache().client.ping()  # its batch shares the counts of the calls before


def get_entry(run):
    (found,) = run.json["caches"]
    return found


def test_json_has_the_totals_of_all_processes():
    use_cache()
    run = run_command("cache_stats", "--format", "json")
    found = get_entry(run)
    assert (run.code, run.json["schema"], found.keys()) == (0, 1, NAMES)
    assert (found["scope"], found["verdict"]) == ("all processes", "ok")
    recent = found["recent"]
    assert (recent["hits"], recent["misses"], recent["sets"]) == (3, 1, 1)
    assert recent["hit_rate"] == 0.75
    assert 0 < recent["p50_seconds"] <= recent["p95_seconds"] <= recent["p99_seconds"]
    assert found["bill"]["plan"] == "free"
    assert found["bill"]["commands"] == found["today"]["billed"] + found["today"]["overhead"] > 5


def test_table_output():
    use_cache()
    run = run_command("cache_stats", "--since", "7d")
    assert run.code == 0
    for words in ("cache 'default' (rest,", "Hit rate        75 %", "all processes, last 7d"):
        assert words in run.out


def test_hits_of_the_near_cache(site):
    site.CACHES["default"]["OPTIONS"]["NEAR"] = {"query:": 60}
    site.CACHES = dict(site.CACHES)
    use_cache()
    run = run_command("cache_stats")
    assert "Near cache      3 hits, 3 commands saved" in run.out


def test_prometheus_output():
    use_cache()
    lines = run_command("cache_stats", "--format", "prometheus").out.splitlines()
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


def test_key_families_are_estimated_from_a_sample():
    get_cache().set_many({f"query:{i}": i for i in range(30)} | {f"page:{i}": i for i in range(10)})
    get_cache().set("without-a-colon", 1)
    found = get_entry(run_command("cache_stats", "--format", "json", "--families"))["families"]
    assert [(each["name"], each["seen"]) for each in found] == [
        ("query:", 30),
        ("page:", 10),
        ("(no family)", 1),
    ]


@pytest.mark.parametrize(("sample", "max_billed"), [("1000", 1), ("1001", 2), ("5000", 5)])
def test_a_sample_costs_no_more_than_its_size(sample, max_billed, emulator, settings):
    settings.CACHES["big"] = make_entry(emulator, KEY_PREFIX="big")
    for n in range(0, 12_000, 4_000):
        get_cache("big").set_many({f"q:{i}": 1 for i in range(n, n + 4_000)}, None)
    writer.stop()
    arguments = ("cache_stats", "--cache", "default", "--format", "json")
    # The first run also reads the month.
    _, without = (get_entry(run_command(*arguments))["spent"] for _ in range(2))
    with_families = get_entry(run_command(*arguments, "--families", "--sample", sample))["spent"]
    assert with_families - without <= max_billed


def test_a_period_longer_than_the_retention_is_shortened(emulator):
    use_cache()
    writer.stop()
    with emulator.count() as spent:
        found = get_entry(run_command("cache_stats", "--format", "json", "--since", "365d"))
    assert (found["since_seconds"], found["recent"]["hits"]) == (32 * 86400, 3)
    assert spent.billed <= 33 + 31  # the days of the period, and of the month with today


def test_an_unknown_pricing_plan_hides_only_the_bill(settings):
    use_cache()
    settings.CONTINUUM_STATS = {"PLAN": "gold"}
    run = run_command("cache_stats")
    assert (run.code, "write one of free" in " ".join(run.out.split())) == (0, True)
    assert "Hit rate        75 %" in run.out


def test_the_report_has_80_columns_and_colours_on_a_terminal(settings):
    use_cache()
    settings.CONTINUUM_STATS = {"PLAN": "gold"}  # a long error
    plain = run_command("cache_stats", "--no-color").out
    assert max(map(len, plain.splitlines())) <= 80
    coloured = run_command("cache_stats", "--force-color").out
    assert coloured.startswith("\x1b[")
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured).splitlines()[0] == plain.splitlines()[0]


@pytest.mark.parametrize("families", [(), ("--families",)])
def test_the_report_names_its_own_cost(families, emulator):
    use_cache()
    with emulator.count() as usage:
        found = get_entry(run_command("cache_stats", "--format", "json", *families))
    assert found["spent"] == usage.billed


def test_without_shared_statistics_there_is_no_history():
    writer.stop()
    get_cache().get("k")
    assert "Statistics      no history yet" in run_command("cache_stats").out
    found = get_entry(run_command("cache_stats", "--format", "json"))
    assert (found["scope"], found["recent"]["misses"], found["bill"]) == ("this process", 1, None)
    text = run_command("cache_stats", "--format", "prometheus").out
    assert 'continuum_cache_misses_total{alias="default"}' not in text
    assert 'continuum_cache_breaker_state{alias="default",state="closed"} 1' in text


def test_a_local_cache_is_ok(settings, emulator):
    settings.CACHES = {"default": make_entry(None, "local")}
    run = run_command("cache_stats", "--format", "json")
    assert (run.code, get_entry(run)["mode"], get_entry(run)["verdict"]) == (0, "local", "ok")


def test_an_outage_exits_with_2_and_is_shown(emulator):
    use_cache()
    with emulator.fault("refuse"):
        run = run_command("cache_stats", "--format", "json")
    found = get_entry(run)
    assert (run.code, found["verdict"], found["round_trip"]) == (2, "degraded", None)
    assert found["errors"]


def test_a_read_only_token_shows_everything_except_families(emulator, settings):
    use_cache()
    options = {"TOKEN": emulator.read_only_token}
    settings.CACHES = {"default": make_entry(emulator, KEY_PREFIX="shop", OPTIONS=options)}
    run = run_command("cache_stats", "--format", "json", "--families")
    found = get_entry(run)
    assert (run.code, found["scope"], found["families"]) == (0, "all processes", None)
    assert "Cannot read the key families" in run.err


def test_a_cache_without_credentials_is_degraded(settings):
    settings.CACHES = {"default": make_entry(None, "unconfigured")}
    run = run_command("cache_stats", "--fail-on", "degraded")
    assert run.code == 1
    assert "Set UPSTASH_REDIS_REST_URL" in run.out
    settings.CACHES = {"default": make_entry(None, "local")}
    assert run_command("cache_stats", "--fail-on", "degraded").code == 0


def test_fail_on_degraded_exits_with_1(monkeypatch):
    assert run_command("cache_stats", "--fail-on", "degraded").code == 0
    monkeypatch.setattr("continuum_upstash.health.probe.MEMORY_WARN_RATIO", 0.0)
    assert run_command("cache_stats").code == 0
    run = run_command("cache_stats", "--fail-on", "degraded")
    assert (run.code, "Warning" in run.out) == (1, True)


def test_a_breaker_that_is_forced_open_exits_with_2():
    get_cache().database.failover.breaker.force_open()
    run = run_command("cache_stats")
    assert (run.code, "forced_open" in run.out) == (2, True)


class Terminal(StringIO):
    def isatty(self):
        return True


def test_watch_redraws_until_ctrl_c(monkeypatch):
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("continuum_upstash.management.commands.cache_stats.time.sleep", sleep)
    out = Terminal()
    call_command("cache_stats", "--watch", "5", stdout=out)
    assert pauses == [5, 5, 5]
    assert out.getvalue().count("cache 'default'") == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cache", "unknown"], "Aliases of this package: default."),
        (["--watch", "1"], "terminal"),
        (["--since", "soon"], "15m"),
        (["--since", "1000000d"], "32d"),
        (["--since", "99999999999d"], "32d"),
        (["--format", "xml"], "invalid choice"),
    ],
)
def test_invalid_arguments_exit_with_2(arguments, words, capsys):
    run = run_command("cache_stats", *arguments)
    assert words in run.error
    assert run.code == 2 or "argument" in run.error


def test_the_guides_counters_are_read_from_the_cache():
    use_cache()
    assert get_cache().get("stats:cache_hits") == 3
    assert get_cache().get("stats:cache_misses") == 1


def test_a_plain_client_reads_the_guides_counters(site, emulator):
    use_cache()
    keys = [get_cache().make_key(f"stats:cache_{name}") for name in ("hits", "misses")]
    with UpstashCache(rest_url=emulator.rest_url, rest_token=emulator.token) as client:
        assert client.get_many(keys) == dict(zip(keys, (3, 1), strict=True))
