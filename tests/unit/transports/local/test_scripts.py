"""EVAL in the local store runs the script's local rule."""

from __future__ import annotations

import pytest

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Script


def transfer(call, keys, args):
    """Move an amount between two counters, and record the first one in a set."""
    left = call("INCRBY", keys[0], -int(args[0]))
    call("SADD", "log", keys[0])
    return [left, call("INCRBY", keys[1], args[0])]


TRANSFER = Script("return 'not run here'", transfer)


def test_a_rule_receives_keys_as_text_and_arguments_as_bytes(call):
    assert call("EVAL", TRANSFER, 2, "a", "b", 5) == [-5, 5]


def test_an_error_within_a_rule_ends_it_and_is_the_reply(call):
    call("SET", "log", b"a string")
    reply = call("EVAL", TRANSFER, 2, "a", "b", 5)
    assert reply.code == "WRONGTYPE"
    assert call("GET", "b") is None


def test_a_rule_may_handle_an_error_of_its_calls(call):
    def rule(call, keys, _args):
        try:
            return call("INCR", keys[0])
        except ReplyError as error:
            return error.code.encode()

    call("SADD", "s", b"m")
    assert call("EVAL", Script("", rule), 1, "s") == b"WRONGTYPE"


def test_a_rule_that_calls_an_unknown_command_gets_the_error(call):
    reply = call("EVAL", Script("", lambda call, _keys, _args: call("LPUSHX", "k", b"v")), 0)
    assert str(reply).startswith("ERR unknown command 'LPUSHX'")


def test_time_stands_still_while_a_rule_runs(clock, call):
    def rule(call, _keys, _args):
        before = call("TIME")
        clock.ms += 5_000
        return int(before == call("TIME"))

    assert call("EVAL", Script("", rule), 0) == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("return 1", 0), "ERR the local store runs no Lua"),
        ((TRANSFER, -1), "ERR Number of keys can't be negative"),
        ((TRANSFER, 2, "a"), "ERR Number of keys can't be greater than number of args"),
        ((TRANSFER, "x"), "ERR value is not an integer or out of range"),
        ((TRANSFER,), "ERR wrong number of arguments for 'eval' command"),
    ],
)
def test_a_script_that_cannot_run_is_an_error(call, arguments, error):
    assert str(call("EVAL", *arguments)).startswith(error)
