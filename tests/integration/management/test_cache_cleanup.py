from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from continuum_upstash.backend import get_cache
from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.keys import make_scoped_pattern
from continuum_upstash.plans.cleanup import KeyDeleter, KeySelector
from continuum_upstash.plans.runner import Runner
from tests.integration.cache_entries import make_entry
from tests.integration.management.command_runs import run_command
from tests.waiting import wait_until


@pytest.fixture(autouse=True, params=["rest", "tcp"])
def two_caches(site, request, emulator):
    site.CACHES = {
        "default": make_entry(emulator, request.param, KEY_PREFIX="shop[1]"),
        "other": make_entry(emulator, request.param, KEY_PREFIX="other"),
    }


def fill(**families):
    get_cache().set_many({f"{name}:{i}": i for name, n in families.items() for i in range(n)}, None)


def run_cleanup(*arguments):
    return run_command("cache_cleanup", *arguments)


def test_only_matching_keys_of_this_cache_are_deleted():
    fill(query=2500, page=10)
    get_cache("other").set("query:1", "stays")
    run = run_cleanup("query:*", "--no-input")
    assert (run.code, len(get_cache().keys())) == (0, 10)
    assert get_cache("other").get("query:1") == "stays"
    assert "2,500 keys deleted" in run.out


def test_the_number_of_commands_is_as_announced(emulator):
    fill(query=3000, page=1500)
    get_cache().get("warm-up")
    with emulator.count() as spent:
        run = run_cleanup("--family", "query", "--no-input", "--format", "json")
    result = run.json
    assert (result["deleted"], result["cursor"]) == (3000, "0")
    assert abs(result["commands"] - result["announced"]) <= 0.05 * result["announced"] + 1
    counting = spent.billed - result["commands"]
    assert 0 < counting < result["commands"]


def test_a_dry_run_counts_and_deletes_nothing():
    fill(query=30)
    run = run_cleanup("query:*", "--dry-run", "--format", "json")
    assert run.json["schema"] == 1
    assert (run.json["matched"], run.json["deleted"], run.json["dry_run"]) == (30, 0, True)
    assert len(get_cache().keys()) == 30


@pytest.mark.parametrize(("typed", "left", "code"), [("yes", 0, 0), ("y", 30, 1), ("no", 30, 1)])
def test_only_yes_confirms(typed, left, code, monkeypatch):
    fill(query=30)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: typed)
    run = run_cleanup("query:*")
    assert (run.code, len(get_cache().keys())) == (code, left)
    assert "30 keys match" in run.out
    assert "billed commands" in run.out


def test_without_a_terminal_it_does_not_wait_for_confirmation():
    fill(query=3)
    run = run_cleanup("query:*")
    assert (run.code, len(get_cache().keys())) == (2, 3)
    assert "--no-input" in run.error


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--no-ttl"], {"query:60", "query:9000"}),
        (["--ttl-below", "5m"], {"query:none", "query:9000"}),
        (["--ttl-above", "5m"], {"query:60"}),
    ],
)
def test_keys_are_selected_by_their_lifetime(arguments, left):
    get_cache().set("query:none", 1, None)
    get_cache().set("query:60", 1, 60)
    get_cache().set("query:9000", 1, 9000)
    assert run_cleanup("query:*", "--no-input", *arguments).code == 0
    assert set(get_cache().keys()) == left


def test_the_limit_and_the_batch_size_are_kept():
    fill(query=50)
    run = run_cleanup("query:*", "--no-input", "--limit", "20", "--batch", "7", "--format", "json")
    assert (run.json["deleted"], len(get_cache().keys())) == (20, 30)
    assert run.json["commands"] <= run.json["announced"]


def test_the_rate_limits_the_keys_deleted_per_second(monkeypatch):
    fill(query=950)
    pauses, left = [], []

    def sleep(seconds):
        pauses.append(seconds)
        left.append(len(get_cache().keys()))

    monkeypatch.setattr("continuum_upstash.management.commands.cache_cleanup.time.sleep", sleep)
    monkeypatch.setattr(
        "continuum_upstash.management.commands.cache_cleanup.time.monotonic", lambda: 0.0
    )
    assert run_cleanup("query:*", "--no-input", "--rate", "200").code == 0
    assert left[-6:] == [950, 750, 550, 350, 150, 0]
    assert pauses[-6:] == [0, 1, 2, 3, 4, 4.75]


def test_without_a_matching_key_nothing_is_deleted():
    run = run_cleanup("query:*", "--no-input")
    assert run.code == 0
    assert run.out.endswith(" 1 billed command.\n")
    assert "no key matches" in run.out


def test_a_limited_run_can_be_resumed_and_misses_no_key():
    fill(query=3000)
    first = run_cleanup("query:*", "--no-input", "--limit", "50")
    assert "query:*; more may match, which --limit keeps. Deleting " in first.out
    cursor = re.search(r"--resume (\d+)", first.out)[1]
    assert len(get_cache().keys()) == 2950
    assert run_cleanup("query:*", "--no-input", "--resume", cursor).code == 0
    assert get_cache().keys() == []


def test_an_interrupted_count_says_that_nothing_was_deleted(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    fill(query=3000)
    monkeypatch.setattr("continuum_upstash.management.progress.Progress.show", interrupt)
    run = run_cleanup("query:*", "--no-input")
    assert (run.code, len(get_cache().keys())) == (130, 3000)
    counted = r"Interrupted: nothing was deleted\. [\d,]+ keys counted with 1 billed command\.$"
    assert re.search(counted, run.error)
    assert "--resume" not in run.error


def test_a_raw_pattern_can_match_other_prefixes():
    get_cache("other").set("query:1", 1)
    fill(query=1)
    assert run_cleanup("other:1:query:*", "--raw", "--no-input").code == 0
    assert (get_cache("other").get("query:1"), get_cache().get("query:0")) == (None, 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "either PATTERN or --family"),
        (["a*", "--family", "a"], "either PATTERN or --family"),
        (["*"], "--all"),
        (["a*", "--cache", "unknown"], "Aliases of this package: default, other."),
        (["a*", "--resume", "x"], "--resume"),
    ],
)
def test_invalid_arguments_exit_with_2_and_a_hint(arguments, words):
    run = run_cleanup(*arguments, "--no-input")
    assert run.code == 2
    assert words in run.error


def test_the_pattern_star_with_all_deletes_every_key_of_this_cache():
    fill(query=3, page=3)
    get_cache("other").set("k", 1)
    assert run_cleanup("*", "--all", "--no-input").code == 0
    assert (get_cache().keys(), get_cache("other").keys()) == ([], ["k"])


def test_an_interrupted_run_can_be_resumed():
    fill(query=9000, page=500)
    scoped = make_scoped_pattern(get_cache().key_func, get_cache().key_prefix, 1, "query:*")
    selector = KeySelector(scoped.pattern, scoped.matches, lambda _: False)
    cursors = []

    def interrupt_at_the_fourth(progress):
        cursors.append(progress.cursor)
        if len(cursors) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get_cache().run(KeyDeleter(selector, batch=700).delete(on_progress=interrupt_at_the_fourth))
    assert 0 < len(get_cache().keys("query:*")) < 9000
    run = run_cleanup("query:*", "--no-input", "--resume", cursors[-1])
    assert (run.code, len(get_cache().keys())) == (0, 500)


PROGRAM = """
import signal, sys, django
from django.conf import settings
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs of a shell
settings.configure(
    CACHES={"default": {"BACKEND": "continuum_upstash.backend.CacheBackend", "KEY_PREFIX": "shop"}},
    INSTALLED_APPS=["continuum_upstash"], CONTINUUM_STATS={"SHARED": False}, SECRET_KEY="s",
)
django.setup()
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "cache_cleanup", *sys.argv[1:]])
"""


def test_ctrl_c_prints_the_cursor_to_resume_from(emulator, settings):
    settings.CACHES = {"default": make_entry(emulator, KEY_PREFIX="shop")}
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
    wait_until(lambda: len(get_cache().keys("query:*")) < 9000)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 130
    cursor = re.search(r"--resume (\d+)", error)[1]
    left = len(get_cache().keys("query:*"))
    assert 0 < left < 9000
    assert run_cleanup("query:*", "--no-input", "--resume", cursor).code == 0
    assert get_cache().keys("query:*") == []
    assert len(get_cache().keys()) == 500


def test_an_outage_during_a_run_prints_the_cursor_to_resume_from(emulator, monkeypatch):
    fill(query=9000)
    real_send, sent = get_cache().database.send, []

    def send(batch):
        sent.append(batch)
        if len(sent) == 15:  # while it deletes
            raise ConnectionFailed("the network is down.")
        return real_send(batch)

    monkeypatch.setattr(get_cache(), "_runner", Runner(send))
    run = run_cleanup("query:*", "--no-input")
    monkeypatch.undo()
    assert (run.code, "the network is down." in run.error) == (2, True)
    left = len(get_cache().keys())
    assert 0 < left < 9000
    cursor = re.search(r"--resume (\d+)", run.error)[1]
    assert run_cleanup("query:*", "--no-input", "--resume", cursor).code == 0
    assert get_cache().keys() == []


@pytest.mark.parametrize(("error", "code"), [(EOFError, 1), (KeyboardInterrupt, 130)])
def test_without_confirmation_nothing_is_deleted(error, code, monkeypatch):
    def interrupt(_):
        raise error

    fill(query=3)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", interrupt)
    assert (run_cleanup("query:*").code, len(get_cache().keys())) == (code, 3)


def test_an_unreachable_database_exits_with_2(emulator):
    get_cache().get("warm-up")
    with emulator.fault("refuse", side="both"):
        run = run_cleanup("query:*", "--no-input")
    assert (run.code, run.out) == (2, "")
    assert "cache 'default'" in run.error
