"""The table of the service's error texts: each text has its class, over both transports."""

from __future__ import annotations

import pytest

from continuum_upstash.errors import (
    AuthenticationFailed,
    CapacityExceeded,
    QuotaExceeded,
    ReadOnlyReplica,
    ReplyError,
    RequestTooLarge,
    ServerNotReady,
    Unavailable,
    escape_unprintable,
)
from continuum_upstash.transports.service_errors import (
    MEANINGS,
    SERVICE_TEXTS,
    Meaning,
    correct_script_errors,
    find_batch_error,
    get_meaning,
    make_reply_error,
)

EXAMPLES = [(example, row) for row in SERVICE_TEXTS for example in row.examples]
LUA = "ERR Error running script: @user_script:2: {}\nstack traceback:\n\t[G]: in function 'call'"
LUA_6 = "ERR Error running script (call to f_ab12): @user_script:1: @user_script: 1: -{}"


@pytest.mark.parametrize(("example", "row"), EXAMPLES, ids=lambda value: str(value)[:40])
def test_each_example_is_classified_by_its_own_row(example, row):
    for text in (
        example,
        f"{example}. Limit: 1, Usage: 2. See https://upstash.com/docs for details",
    ):
        error = make_reply_error(text)
        assert type(error) is row.error
        assert str(error).startswith(example)
        assert str(error).endswith(row.hint or text)


def test_each_class_has_a_meaning():
    assert {row.error for row in SERVICE_TEXTS} == MEANINGS.keys()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ERR max bandwidth limit exceeded", QuotaExceeded),
        ("ERR max monthly bandwidth exceeded. Limit: 10 GB", QuotaExceeded),
        ("ERR max budget reached", QuotaExceeded),
        ("ERR max commands per second exceeded", QuotaExceeded),
        ("ERR monthly request limit exceeded", QuotaExceeded),
        ("ERR bandwidth limit reached", QuotaExceeded),
        ("ERR max single record size exceeded. Limit: 104857600 bytes", RequestTooLarge),
        ("ERR max record size exceeded", RequestTooLarge),
        ("ERR max entry size exceeded", RequestTooLarge),
        ("ERR max number of clients + cluster connections reached", ServerNotReady),
        ("ERR max connections limit exceeded", ServerNotReady),
        ("ERR Connection timed out", ServerNotReady),
        ("Connection reset by peer", ServerNotReady),
        ("dial tcp 10.0.0.1:6379: connect: connection refused", ServerNotReady),
        ("read tcp 10.0.0.2:35246->10.0.0.1:6379: i/o timeout", ServerNotReady),
        ("context deadline exceeded", ServerNotReady),
        ("upstream request timeout", ServerNotReady),
        ("no upstream host", ServerNotReady),
        ("Internal Server Error", ServerNotReady),
        ("ASK 3999 10.0.0.1:6381", ServerNotReady),
        ("Invalid token", AuthenticationFailed),
        ("unauthorized", AuthenticationFailed),
        (
            "ERR AUTH <password> called without any password configured for the default user",
            AuthenticationFailed,
        ),
        ("READONLY You can't write against a read only slave.", ReadOnlyReplica),
    ],
)
def test_texts_of_the_same_kinds_are_classified_alike(text, kind):
    assert type(make_reply_error(text)) is kind


@pytest.mark.parametrize(
    "text",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR syntax error",
        "ERR wrong number of arguments for 'get' command",
        "ERR value is not an int or out of range",
        "ERR Command is not available: 'ROLE'. See https://upstash.com/docs for details",
        "ERR no such key",
        "NOSCRIPT No matching script. Please use EVAL.",
        "BUSYGROUP Consumer Group name already exists",
        "BUSYKEY Target key name already exists.",
        "NOTBUSY No scripts in execution right now.",
        "EXECABORT Transaction discarded because of previous errors.",
        "ERR DB index is out of range",
        "ERR maxmemory is not configured",
        "ERR XReadGroup is cancelled. Pending Entries List limit is about to be reached.",
        "READONLY Write commands are not allowed from read-only scripts",
        LUA.format("READONLY Write commands are not allowed from read-only scripts"),
        LUA.format("attempt to call a nil value"),
        "",
    ],
)
def test_an_error_of_one_command_is_a_plain_reply_error(text):
    error = make_reply_error(text)
    assert type(error) is ReplyError
    assert str(error) == escape_unprintable(text)
    assert get_meaning(error) is Meaning.COMMAND


@pytest.mark.parametrize("form", [LUA, LUA_6])
@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ERR DB capacity quota exceeded. Threshold: 1 bytes, Usage: 2 bytes", CapacityExceeded),
        ("OOM command not allowed when used memory > 'maxmemory'.", CapacityExceeded),
        ("READONLY Writes are temporarily rejected due to server upgrade", ReadOnlyReplica),
        ("ERR max requests limit exceeded. Limit: 1, Usage: 1", QuotaExceeded),
    ],
)
def test_the_error_of_a_command_in_a_script_has_the_same_class(form, text, kind):
    assert type(make_reply_error(form.format(text))) is kind


@pytest.mark.parametrize("name", ["EVAL", "evalsha", "FCALL"])
@pytest.mark.parametrize("form", ["{}", LUA, LUA_6])
@pytest.mark.parametrize(
    "text", ["ERR max attempts exceeded", "ERR rate limit reached", "ERR request timed out"]
)
def test_an_error_text_of_a_users_script_says_nothing_about_the_server(name, form, text):
    error = make_reply_error(form.format(text))
    assert type(error) is not ReplyError
    commands = [("GET", "k"), (name, "return redis.error_reply(ARGV[1])", 0, text)]
    kept, corrected = correct_script_errors([error, error], commands)
    assert kept is error
    assert (type(corrected), str(corrected)) == (ReplyError, escape_unprintable(form.format(text)))


@pytest.mark.parametrize("form", ["{}", LUA, LUA_6])
@pytest.mark.parametrize("example", [example for example, _ in EXAMPLES])
def test_a_known_text_keeps_its_class_as_the_reply_to_a_script(form, example):
    error = make_reply_error(form.format(example))
    assert correct_script_errors([error], [("EVAL", "return 1", 0)]) == [error]


def test_a_server_that_is_not_ready_is_unavailable_and_has_run_nothing():
    error = make_reply_error("LOADING Redis is loading the dataset in memory")
    assert isinstance(error, Unavailable)
    assert isinstance(error, ReplyError)
    assert (error.code, error.unsent, error.retry_after) == ("LOADING", True, None)


@pytest.mark.parametrize("end", ["", "."])
def test_a_hint_is_a_separate_sentence(end):
    text = f"ERR max requests limit exceeded. See https://upstash.com/… for details{end}"
    assert "for details. Every command fails" in str(make_reply_error(text))


LOADING = make_reply_error("LOADING Redis is loading the dataset in memory")
WRONGTYPE = make_reply_error("WRONGTYPE no")


@pytest.mark.parametrize(
    ("replies", "applies"),
    [
        ([LOADING], True),
        ([LOADING, LOADING], True),
        ([LOADING, b"x"], False),
        ([WRONGTYPE, WRONGTYPE], False),
        ([b"x", LOADING], False),
    ],
)
def test_an_error_applies_to_a_batch_if_no_command_ran(replies, applies):
    error = find_batch_error(replies, "cache 'x'")
    assert (error is not None) is applies
    if error is not None:
        assert type(error) is ServerNotReady
        assert str(error).endswith("(cache 'x')")
