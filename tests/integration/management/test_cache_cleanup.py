from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from time import monotonic, sleep

import pytest

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.keys import make_scoped_pattern
from continuum_upstash.plans.cleanup import KeyDeleter, KeySelector
from continuum_upstash.plans.runner import Runner
from continuum_upstash.transports import registry
from tests.integration.management.command_runs import cache, entry, ran


@pytest.fixture(autouse=True, params=["rest", "tcp"])
def site(request, emulator, settings):
    settings.CACHES = {
        "default": entry(emulator, request.param, KEY_PREFIX="shop[1]"),
        "other": entry(emulator, request.param, KEY_PREFIX="other"),
    }
    yield
    registry.reset()


def fill(**families):
    cache().set_many({f"{name}:{i}": i for name, n in families.items() for i in range(n)}, None)


def clean(*arguments):
    return ran("cache_cleanup", *arguments)


def test_only_what_matches_is_deleted_within_this_cache():
    fill(query=2500, page=10)
    cache("other").set("query:1", "stays")
    ended = clean("query:*", "--no-input")
    assert (ended.code, len(cache().keys())) == (0, 10)
    assert cache("other").get("query:1") == "stays"
    assert "2,500 keys deleted" in ended.out


def test_it_sends_what_it_announced(emulator):
    fill(query=3000, page=1500)
    cache().get("warm-up")
    with emulator.count() as spent:
        ended = clean("--family", "query", "--no-input", "--format", "json")
    result = ended.json
    assert (result["deleted"], result["cursor"]) == (3000, "0")
    assert abs(result["commands"] - result["announced"]) <= 0.05 * result["announced"] + 1
    counting = spent.billed - result["commands"]
    assert 0 < counting < result["commands"]


def test_a_dry_run_counts_and_deletes_nothing():
    fill(query=30)
    ended = clean("query:*", "--dry-run", "--format", "json")
    assert ended.json["schema"] == 1
    assert (ended.json["matched"], ended.json["deleted"], ended.json["dry_run"]) == (30, 0, True)
    assert len(cache().keys()) == 30


@pytest.mark.parametrize(("answer", "left", "code"), [("yes", 0, 0), ("y", 30, 1), ("no", 30, 1)])
def test_it_asks_and_takes_nothing_but_yes(answer, left, code, monkeypatch):
    fill(query=30)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    ended = clean("query:*")
    assert (ended.code, len(cache().keys())) == (code, left)
    assert "30 keys match" in ended.out
    assert "billed commands" in ended.out


def test_without_a_terminal_it_does_not_wait_for_an_answer():
    fill(query=3)
    ended = clean("query:*")
    assert (ended.code, len(cache().keys())) == (2, 3)
    assert "--no-input" in ended.error


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--no-ttl"], {"query:60", "query:9000"}),
        (["--ttl-below", "5m"], {"query:none", "query:9000"}),
        (["--ttl-above", "5m"], {"query:60"}),
    ],
)
def test_lifetimes_choose(arguments, left):
    cache().set("query:none", 1, None)
    cache().set("query:60", 1, 60)
    cache().set("query:9000", 1, 9000)
    assert clean("query:*", "--no-input", *arguments).code == 0
    assert set(cache().keys()) == left


def test_a_limit_and_small_batches():
    fill(query=50)
    ended = clean("query:*", "--no-input", "--limit", "20", "--batch", "7", "--format", "json")
    assert (ended.json["deleted"], len(cache().keys())) == (20, 30)
    assert ended.json["commands"] <= ended.json["announced"]


def test_a_rate_bounds_what_is_deleted_at_once(monkeypatch):
    fill(query=950)
    naps, left = [], []

    def sleep(seconds):
        naps.append(seconds)
        left.append(len(cache().keys()))

    monkeypatch.setattr("continuum_upstash.management.commands.cache_cleanup.time.sleep", sleep)
    monkeypatch.setattr(
        "continuum_upstash.management.commands.cache_cleanup.time.monotonic", lambda: 0.0
    )
    assert clean("query:*", "--no-input", "--rate", "200").code == 0
    assert left[-6:] == [950, 750, 550, 350, 150, 0]
    assert naps[-6:] == [0, 1, 2, 3, 4, 4.75]


def test_nothing_that_matches_is_nothing_to_delete():
    ended = clean("query:*", "--no-input")
    assert ended.code == 0
    assert ended.out.endswith("; 1 billed command.\n")
    assert "no key matches" in ended.out


def test_a_limited_walk_can_go_on_and_misses_nothing():
    fill(query=3000)
    first = clean("query:*", "--no-input", "--limit", "50")
    cursor = re.search(r"--resume (\d+)", first.out)[1]
    assert len(cache().keys()) == 2950
    assert clean("query:*", "--no-input", "--resume", cursor).code == 0
    assert cache().keys() == []


def test_a_count_that_is_interrupted_does_not_offer_to_skip_what_it_counted(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    fill(query=3000)
    monkeypatch.setattr("continuum_upstash.management.progress.Progress.show", interrupt)
    ended = clean("query:*", "--no-input")
    assert (ended.code, len(cache().keys())) == (130, 3000)
    assert ended.error.endswith("--resume 0")


def test_raw_patterns_reach_other_prefixes_when_asked_to():
    cache("other").set("query:1", 1)
    fill(query=1)
    assert clean("other:1:query:*", "--raw", "--no-input").code == 0
    assert (cache("other").get("query:1"), cache().get("query:0")) == (None, 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "either PATTERN or --family"),
        (["a*", "--family", "a"], "either PATTERN or --family"),
        (["*"], "--all"),
        (["a*", "--cache", "nobody"], "There is default, other."),
        (["a*", "--resume", "x"], "--resume"),
    ],
)
def test_misuse_ends_with_2_and_says_what_to_do(arguments, words):
    ended = clean(*arguments, "--no-input")
    assert ended.code == 2
    assert words in ended.error


def test_a_bare_star_takes_all_of_this_cache_when_asked_to():
    fill(query=3, page=3)
    cache("other").set("k", 1)
    assert clean("*", "--all", "--no-input").code == 0
    assert (cache().keys(), cache("other").keys()) == ([], ["k"])


def test_an_interrupted_walk_goes_on_where_it_stopped():
    fill(query=9000, page=500)
    wanted = make_scoped_pattern(cache().key_func, cache().key_prefix, 1, "query:*")
    selector = KeySelector(wanted.pattern, wanted.matches, lambda _: False)
    cursors = []

    def interrupt_the_fourth(progress):
        cursors.append(progress.cursor)
        if len(cursors) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache().run(KeyDeleter(selector, batch=700).delete(on_progress=interrupt_the_fourth))
    assert 0 < len(cache().keys("query:*")) < 9000
    ended = clean("query:*", "--no-input", "--resume", cursors[-1])
    assert (ended.code, len(cache().keys())) == (0, 500)


PROGRAM = """
import signal, sys, django
from django.conf import settings
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
settings.configure(
    CACHES={"default": {"BACKEND": "continuum_upstash.backend.CacheBackend", "KEY_PREFIX": "shop"}},
    INSTALLED_APPS=["continuum_upstash"], CONTINUUM_STATS={"SHARED": False}, SECRET_KEY="s",
)
django.setup()
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "cache_cleanup", *sys.argv[1:]])
"""


def test_ctrl_c_says_where_to_go_on(emulator, settings):
    settings.CACHES = {"default": entry(emulator, KEY_PREFIX="shop")}
    fill(query=9000, page=500)
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PROGRAM,
            "query:*",
            "--no-input",
            "--batch",
            "500",
            "--rate",
            "1500",
        ],
        env=os.environ
        | {
            "UPSTASH_REDIS_REST_URL": emulator.rest_url,
            "UPSTASH_REDIS_REST_TOKEN": emulator.token,
        },
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert "9,000 keys match" in process.stdout.readline()
    until = monotonic() + 20
    while len(cache().keys("query:*")) == 9000 and monotonic() < until:
        sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 130
    cursor = re.search(r"--resume (\d+)", error)[1]
    left = len(cache().keys("query:*"))
    assert 0 < left < 9000
    assert clean("query:*", "--no-input", "--resume", cursor).code == 0
    assert cache().keys("query:*") == []
    assert len(cache().keys()) == 500


def test_an_outage_in_the_middle_says_where_to_go_on(emulator, monkeypatch):
    fill(query=9000)
    real, sent = cache().database.send, []

    def send(batch):
        sent.append(batch)
        if len(sent) == 15:  # while it deletes
            raise ConnectionFailed("the network is gone.")
        return real(batch)

    monkeypatch.setattr(cache(), "_runner", Runner(send))
    ended = clean("query:*", "--no-input")
    monkeypatch.undo()
    assert (ended.code, "the network is gone." in ended.error) == (2, True)
    left = len(cache().keys())
    assert 0 < left < 9000
    cursor = re.search(r"--resume (\d+)", ended.error)[1]
    assert clean("query:*", "--no-input", "--resume", cursor).code == 0
    assert cache().keys() == []


@pytest.mark.parametrize("gone", [EOFError, KeyboardInterrupt])
def test_no_answer_deletes_nothing(gone, monkeypatch):
    def vanish(_):
        raise gone

    fill(query=3)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", vanish)
    assert (clean("query:*").code, len(cache().keys())) == (1, 3)


def test_an_unreachable_database_is_2(emulator):
    cache().get("warm-up")
    with emulator.fault("refuse", side="both"):
        ended = clean("query:*", "--no-input")
    assert (ended.code, ended.out) == (2, "")
    assert "cache 'default'" in ended.error
