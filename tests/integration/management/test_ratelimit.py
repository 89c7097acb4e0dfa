"""``manage.py ratelimit``: its text, its JSON and its errors."""

from __future__ import annotations

import pytest
from django.core.management import get_commands, load_command_class

from tests.integration.cache_entries import make_entry
from tests.integration.management.command_runs import run_command
from tests.integration.management.json_schema import NUMBER, OPTIONAL, assert_follows

SCHEMAS = {
    "status": {
        "schema": int, "mode": str, "identity": [str],
        "policies": [
            {
                "name": str, "rate": str, "algorithm": str, "limit": int, "worst": int,
                "remaining": OPTIONAL,
            }
        ],
    },
    "reset": {"schema": int, "deleted": int},
    "test": {
        "schema": int,
        "decisions": [
            {"allowed": bool, "reason": str, "remaining": int, "retry_after": NUMBER}
        ],
    },
    "simulate": {
        "schema": int, "admitted": int, "refused": int, "commands": int, "worst": int,
        "payg_dollars": NUMBER,
    },
}  # fmt: skip
ARGUMENTS = {
    "status": ["ip=203.0.113.7"],
    "reset": ["api", "ip=203.0.113.7"],
    "test": ["api", "ip=203.0.113.7"],
    "simulate": ["100/m", "--per-second", "10"],
}
WITH_DATABASE = ["status", "reset", "test"]


@pytest.fixture(autouse=True)
def policies(site):
    site.CONTINUUM_RATELIMIT = {
        "POLICIES": {
            "api": {"rate": "3/d"},
            "slow": {"rate": "5/10m", "algorithm": "fixed"},
            "pair": {"rate": "2/d", "key": "ip+post:username"},
        },
        "DEADLINE": 10.0,
    }


def get_output(action, *arguments):
    run = run_command("ratelimit", action, *arguments)
    assert run.code == 0, run.error
    return run.out


def get_note(line):
    return line.rpartition("; ")[2]


def test_status_test_and_reset():
    lines = get_output("status", "ip=203.0.113.7").splitlines()
    assert [get_note(line) for line in lines] == ["3 remaining", "5 remaining", "has another key"]
    assert "2: allowed, 1 remaining" in get_output("test", "api", "ip=203.0.113.7", "--times", "2")
    assert get_note(get_output("status", "ip=203.0.113.7").splitlines()[0]) == "1 remaining"
    assert get_note(get_output("status", "ip=203.0.113.8").splitlines()[0]) == "3 remaining"
    assert get_output("reset", "api", "ip=203.0.113.7").strip() == "The full quota was restored."
    assert (
        get_output("reset", "api", "ip=203.0.113.7").strip()
        == "Nothing to reset: the quota is full."
    )
    assert get_note(get_output("status", "ip=203.0.113.7").splitlines()[0]) == "3 remaining"


def test_a_refused_client_sees_when_to_retry():
    text = get_output("test", "api", "ip=203.0.113.7", "--times", "4").splitlines()[-1]
    assert text.startswith("4: cached, retry after ")
    run = run_command("ratelimit", "test", "api", "ip=203.0.113.7", "--format", "json")
    (decision,) = run.json["decisions"]
    assert (decision["allowed"], decision["reason"]) == (False, "cached")
    assert decision["retry_after"] > 0


def test_with_mode_off_nothing_is_counted(site, emulator):
    site.CONTINUUM_RATELIMIT = {**site.CONTINUUM_RATELIMIT, "MODE": "off"}
    with emulator.count() as spent:
        lines = get_output("status", "ip=203.0.113.7").splitlines()
        run = run_command("ratelimit", "test", "api", "ip=203.0.113.7")
    assert [get_note(line) for line in lines] == ["not counted, because MODE is 'off'"] * 3
    assert (run.code, spent.billed) == (2, 0)
    assert "MODE 'off'" in run.error


def test_without_an_identity_only_the_policies_are_shown(emulator):
    with emulator.count() as spent:
        text = get_output("status")
    assert spent.billed == 0
    assert text.splitlines() == [
        "api                  3/d        strict        worst case 3 in a window",
        "slow                 5/10m      fixed         worst case 10 in a window",
        "pair                 2/d        strict        worst case 2 in a window",
    ]


def test_an_identity_is_normalized_like_that_of_a_request():
    get_output("test", "pair", "ip=2001:db8::1", "post:username= ALICE")
    (decision,) = run_command(
        "ratelimit", "test", "pair", "ip=2001:db8::2", "post:username=alice", "--format", "json"
    ).json["decisions"]
    assert decision["remaining"] == 0


@pytest.mark.parametrize(
    "identity",
    [["ip=203.0.113.7 post:username=the boss"], [" ip=203.0.113.7  post:username=the boss "]],
)
def test_one_argument_may_contain_all_parts_of_a_key(identity):
    get_output("test", "pair", "ip=203.0.113.7", "post:username=the boss")
    assert "1: allowed, 0 remaining" in get_output("test", "pair", *identity)
    assert get_note(get_output("status", *identity).splitlines()[2]) == "0 remaining"
    assert get_output("reset", "pair", *identity).strip() == "The full quota was restored."


@pytest.mark.parametrize(
    "identity", [["203.0.113.7"], ["foo=bar"], ["ip=999"], ["ip="], ["user=5", "ip=203.0.113.7"]]
)
def test_an_identity_for_no_policy_exits_with_2(identity):
    run = run_command("ratelimit", "status", *identity)
    assert (run.code, run.out) == (2, "")
    assert f"No policy has a key for '{' '.join(identity)}'" in run.error
    assert "for example ip=203.0.113.7" in run.error


def test_a_simulation_shows_commands_dollars_and_the_worst_case():
    text = get_output(
        "simulate", "100/m", "--per-second", "10", "--refused", "50", "--algorithm", "fixed"
    )
    requests = 10 * 30 * 24 * 3600
    commands = requests // 2 * 3 + requests // 2 * 2
    assert f"{commands:,}" in text
    assert f"${commands * 0.2 / 100_000:,.2f} per month;" in text
    assert "200 allowed requests in one window" in text


@pytest.mark.parametrize("action", SCHEMAS)
def test_json_follows_its_schema(action):
    run = run_command("ratelimit", action, *ARGUMENTS[action], "--format", "json")
    assert (run.code, run.err) == (0, "")
    assert next(iter(run.json)) == "schema"
    assert_follows(run.json, SCHEMAS[action])


@pytest.mark.parametrize("action", ["", *SCHEMAS])
def test_every_action_has_help(action):
    command = load_command_class(get_commands()["ratelimit"], "ratelimit")
    parser = command.create_parser("manage.py", "ratelimit")
    if not action:
        assert "Exit status 0: success; 2: the database is unreachable" in " ".join(
            parser.format_help().split()
        )
        return
    with pytest.raises(SystemExit) as exit_:
        parser.parse_args([action, "--help"])
    assert exit_.value.code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reset", "apo", "ip=203.0.113.7"], "Did you mean api?"),
        (["reset", "api", "203.0.113.7"], "Write user=…, with ip=…"),
        (["reset", "api", "ip=somewhere"], "counts by user_or_ip"),
        (["test", "pair", "ip=203.0.113.7"], "Write ip=… post:username=…"),
        (["test", "api", "ip=203.0.113.7", "--times", "0"], "not a whole number above 0"),
        (["simulate", "often", "--per-second", "1"], "is not a rate"),
        (["simulate", "1/m", "--per-second", "0"], "not a number above 0"),
        (["simulate", "1/m", "--per-second", "fast"], "not a number above 0"),
        (["simulate", "1/m", "--per-second", "1", "--refused", "101"], "not a percentage"),
        (["simulate", "1/m", "--per-second", "nan"], "not a number above 0"),
        (["simulate", "1/m", "--per-second", "1", "--algorithm", "leaky"], "invalid choice"),
        (["explode"], "invalid choice"),
    ],
)
def test_an_invalid_argument_is_named(arguments, message):
    run = run_command("ratelimit", *arguments)
    assert run.code != 0
    assert message in run.error


@pytest.mark.parametrize("on_error", ["local", "allow", "deny"])
@pytest.mark.parametrize("action", WITH_DATABASE)
def test_an_outage_exits_with_2_without_a_result(action, on_error, site, emulator):
    site.CONTINUUM_RATELIMIT = {"POLICIES": {"api": {"rate": "3/d", "on_error": on_error}}}
    with emulator.fault("refuse"):
        run = run_command("ratelimit", action, *ARGUMENTS[action], "--format", "json")
    assert (run.code, run.out) == (2, "")
    assert action == "reset" or "cache_doctor --cache default" in run.error
    assert emulator.token not in run.err + run.error


@pytest.mark.parametrize("action", WITH_DATABASE)
def test_a_read_only_token_exits_with_2(action, site, emulator):
    options = {"TOKEN": emulator.read_only_token}
    site.CACHES = {"default": make_entry(emulator, OPTIONS=options)}
    assert run_command("ratelimit", action, *ARGUMENTS[action]).code == 2


@pytest.mark.parametrize("action", WITH_DATABASE)
@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"POLICIES": ["api"]}, "POLICIES must be a dict"),
        (
            {"POLICIES": {"api": {"rate": "3/d"}}, "ALIAS": "nowhere"},
            "'nowhere' cannot be used for rate limits",
        ),
    ],
)
def test_invalid_settings_exit_with_2_and_are_named(action, limits, message, site):
    site.CONTINUUM_RATELIMIT = limits
    run = run_command("ratelimit", action, *ARGUMENTS[action])
    assert run.code == 2
    assert message in run.error


@pytest.mark.parametrize("action", WITH_DATABASE)
def test_another_backend_exits_with_2_and_a_fix(action, site):
    site.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    run = run_command("ratelimit", action, *ARGUMENTS[action])
    assert run.code == 2
    assert "continuum_upstash.backend.CacheBackend" in run.error
