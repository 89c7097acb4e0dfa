"""``manage.py ratelimit``: what it says to people and to programs, and how it fails."""

from __future__ import annotations

import pytest
from django.core.management import get_commands, load_command_class

from continuum_upstash.transports import registry
from tests.integration.management.command_runs import entry, ran
from tests.integration.management.test_contract import MAYBE, NUMBER, follows

SCHEMAS = {
    "status": {
        "schema": int, "mode": str, "identity": [str],
        "policies": [
            {
                "name": str, "rate": str, "algorithm": str, "limit": int, "worst": int,
                "remaining": MAYBE,
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
ASKING = ["status", "reset", "test"]


@pytest.fixture(autouse=True)
def site(emulator, settings):
    settings.CACHES = {"default": entry(emulator, KEY_PREFIX="shop")}
    settings.CONTINUUM_RATELIMIT = {
        "POLICIES": {
            "api": {"rate": "3/d"},
            "slow": {"rate": "5/10m", "algorithm": "fixed"},
            "pair": {"rate": "2/d", "key": "ip+post:username"},
        },
        "DEADLINE": 10.0,
    }
    yield settings
    registry.reset()


def printed(action, *arguments):
    ended = ran("ratelimit", action, *arguments)
    assert ended.code == 0, ended.error
    return ended.out


def left(line):
    return line.rpartition("; ")[2]


def test_it_takes_shows_and_gives_back():
    lines = printed("status", "ip=203.0.113.7").splitlines()
    assert [left(line) for line in lines] == ["3 left", "5 left", "counts by something else"]
    assert "2: allowed, 1 left" in printed("test", "api", "ip=203.0.113.7", "--times", "2")
    assert left(printed("status", "ip=203.0.113.7").splitlines()[0]) == "1 left"
    assert left(printed("status", "ip=203.0.113.8").splitlines()[0]) == "3 left"
    assert printed("reset", "api", "ip=203.0.113.7").strip() == "Reset."
    assert printed("reset", "api", "ip=203.0.113.7").strip() == "There was nothing to reset."
    assert left(printed("status", "ip=203.0.113.7").splitlines()[0]) == "3 left"


def test_who_is_refused_is_told_until_when():
    told = printed("test", "api", "ip=203.0.113.7", "--times", "4").splitlines()[-1]
    assert told.startswith("4: cached, again in ")
    ended = ran("ratelimit", "test", "api", "ip=203.0.113.7", "--format", "json")
    (decision,) = ended.json["decisions"]
    assert (decision["allowed"], decision["reason"]) == (False, "cached")
    assert decision["retry_after"] > 0


def test_where_limits_are_off_it_says_so_and_takes_nothing(site, emulator):
    site.CONTINUUM_RATELIMIT = {**site.CONTINUUM_RATELIMIT, "MODE": "off"}
    with emulator.count() as spent:
        lines = printed("status", "ip=203.0.113.7").splitlines()
        ended = ran("ratelimit", "test", "api", "ip=203.0.113.7")
    assert [left(line) for line in lines] == ["counts nothing, MODE is off"] * 3
    assert (ended.code, spent.billed) == (2, 0)
    assert "MODE 'off'" in ended.error


def test_without_an_identity_only_the_policies_are_told(emulator):
    with emulator.count() as spent:
        told = printed("status")
    assert spent.billed == 0
    assert told.splitlines() == [
        "api                  3/d        strict        at worst 3 in its window",
        "slow                 5/10m      fixed         at worst 10 in its window",
        "pair                 2/d        strict        at worst 2 in its window",
    ]


def test_somebody_is_named_as_a_request_would_be_counted():
    printed("test", "pair", "ip=2001:db8::1", "post:username= ALICE")
    (again,) = ran(
        "ratelimit", "test", "pair", "ip=2001:db8::2", "post:username=alice", "--format", "json"
    ).json["decisions"]
    assert again["remaining"] == 0


@pytest.mark.parametrize(
    "identity",
    [["ip=203.0.113.7 post:username=the boss"], [" ip=203.0.113.7  post:username=the boss "]],
)
def test_the_parts_of_a_key_may_stand_in_one_argument(identity):
    printed("test", "pair", "ip=203.0.113.7", "post:username=the boss")
    assert "1: allowed, 0 left" in printed("test", "pair", *identity)
    assert left(printed("status", *identity).splitlines()[2]) == "0 left"
    assert printed("reset", "pair", *identity).strip() == "Reset."


@pytest.mark.parametrize(
    "identity", [["203.0.113.7"], ["foo=bar"], ["ip=999"], ["ip="], ["user=5", "ip=203.0.113.7"]]
)
def test_whom_no_policy_could_count_is_refused_and_not_shown(identity):
    ended = ran("ratelimit", "status", *identity)
    assert (ended.code, ended.out) == (2, "")
    assert f"No policy counts by '{' '.join(identity)}'" in ended.error
    assert "such as ip=203.0.113.7" in ended.error


def test_a_simulation_tells_commands_dollars_and_the_worst_case():
    told = printed(
        "simulate", "100/m", "--per-second", "10", "--refused", "50", "--algorithm", "fixed"
    )
    requests = 10 * 30 * 24 * 3600
    commands = requests // 2 * 3 + requests // 2 * 2
    assert f"{commands:,}" in told
    assert f"${commands * 0.2 / 100_000:,.2f};" in told
    assert "200 in one window" in told


@pytest.mark.parametrize("action", SCHEMAS)
def test_json_follows_its_schema_and_stands_alone(action):
    ended = ran("ratelimit", action, *ARGUMENTS[action], "--format", "json")
    assert (ended.code, ended.err) == (0, "")
    assert next(iter(ended.json)) == "schema"
    follows(ended.json, SCHEMAS[action])


@pytest.mark.parametrize("action", ["", *SCHEMAS])
def test_help_says_what_it_does(action):
    command = load_command_class(get_commands()["ratelimit"], "ratelimit")
    parser = command.create_parser("manage.py", "ratelimit")
    if not action:
        assert "Exit code 0: done; 2: unreachable" in " ".join(parser.format_help().split())
        return
    with pytest.raises(SystemExit) as exit_:
        parser.parse_args([action, "--help"])
    assert exit_.value.code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
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
def test_a_wrong_argument_is_named(arguments, complaint):
    ended = ran("ratelimit", *arguments)
    assert ended.code != 0
    assert complaint in ended.error


@pytest.mark.parametrize("on_error", ["local", "allow", "deny"])
@pytest.mark.parametrize("action", ASKING)
def test_a_database_that_is_down_is_2_and_nothing_is_made_up(action, on_error, site, emulator):
    site.CONTINUUM_RATELIMIT = {"POLICIES": {"api": {"rate": "3/d", "on_error": on_error}}}
    with emulator.fault("refuse"):
        ended = ran("ratelimit", action, *ARGUMENTS[action], "--format", "json")
    assert (ended.code, ended.out) == (2, "")
    assert action == "reset" or "cache_doctor --cache default" in ended.error
    assert emulator.token not in ended.err + ended.error


@pytest.mark.parametrize("action", ASKING)
def test_a_read_only_token_cannot_ask(action, site, emulator):
    options = {"TOKEN": emulator.read_only_token}
    site.CACHES = {"default": entry(emulator, OPTIONS=options)}
    assert ran("ratelimit", action, *ARGUMENTS[action]).code == 2


@pytest.mark.parametrize("action", ASKING)
@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({"POLICIES": ["api"]}, "POLICIES must be a dict"),
        (
            {"POLICIES": {"api": {"rate": "3/d"}}, "ALIAS": "nowhere"},
            "'nowhere' cannot be used for rate limits",
        ),
    ],
)
def test_wrong_settings_are_2_and_named(action, limits, complaint, site):
    site.CONTINUUM_RATELIMIT = limits
    ended = ran("ratelimit", action, *ARGUMENTS[action])
    assert ended.code == 2
    assert complaint in ended.error


@pytest.mark.parametrize("action", ASKING)
def test_an_alias_that_cannot_count_is_2_with_the_fix(action, site):
    site.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    ended = ran("ratelimit", action, *ARGUMENTS[action])
    assert ended.code == 2
    assert "continuum_upstash.backend.CacheBackend" in ended.error
