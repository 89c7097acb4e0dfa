"""RESP2 as bytes, without sockets."""

from __future__ import annotations

from enum import IntEnum

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    NotSerializable,
    QuotaExceeded,
    ReplyError,
)
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Script
from continuum_upstash.transports.redis.resp2 import (
    INCOMPLETE,
    ReplyReader,
    check_replies,
    count_replies,
    pack,
)
from continuum_upstash.transports.service_errors import make_reply_error

LABEL = "cache 'x'"
GET = ("GET", "k")
MULTI = b"*1\r\n$5\r\nMULTI\r\n"
EXEC = b"*1\r\n$4\r\nEXEC\r\n"
PACKED_GET = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
SCRIPT = Script("return 1", None)

texts = st.text(st.characters(exclude_categories=["Cs"]))
commands = st.lists(texts | st.binary() | st.integers(), min_size=1).map(tuple)


class Seconds(IntEnum):
    MINUTE = 60


def parse(message: bytes) -> list[object]:
    reader = hiredis.Reader(notEnoughData=INCOMPLETE)
    reader.feed(message)
    return list(iter(reader.gets, INCOMPLETE))


def as_bytes(argument) -> bytes:
    return argument if isinstance(argument, bytes) else str(argument).encode()


@given(st.lists(commands, min_size=1), st.booleans())
def test_a_server_reads_the_commands_of_the_batch(commands, atomic):
    expected = [[as_bytes(argument) for argument in command] for command in commands]
    if atomic:
        expected = [[b"MULTI"], *expected, [b"EXEC"]]
    batch = Batch(commands, atomic=atomic)
    assert parse(pack(batch, key_locking=False)) == expected
    assert count_replies(batch) == len(expected)


@given(
    st.lists(st.tuples(st.text(alphabet=st.characters(codec="utf-8")), st.binary()), min_size=2),
    st.sampled_from([(), ("PX", 300_000), ("PX", 1, "NX")]),
    st.lists(commands, max_size=1),
)
def test_a_pipeline_of_like_commands_is_packed_as_each_of_them(items, options, others):
    batch = Batch([*(("SET", key, value, *options) for key, value in items), *others])
    each = [pack(Batch([command]), key_locking=False) for command in batch.commands]
    assert pack(batch, key_locking=False) == b"".join(each)


@pytest.mark.parametrize("size", [0, 255, 256, 70_000])
def test_values_of_any_size_have_their_length_before_them(size):
    batch = Batch([("SET", "k" * size, b"v" * size), ("SET", "ключ", b"v")])
    assert parse(pack(batch, key_locking=False)) == [
        [b"SET", b"k" * size, b"v" * size],
        [b"SET", "ключ".encode(), b"v"],
    ]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (Batch([GET]), PACKED_GET),
        (Batch([GET, GET]), PACKED_GET * 2),
        (Batch([GET], atomic=True), MULTI + PACKED_GET + EXEC),
        (
            Batch([("SET", "k", b"\x00\r\n", 7)]),
            b"*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\n\x00\r\n\r\n$1\r\n7\r\n",
        ),
        (Batch([("X", Seconds.MINUTE, True)]), b"*3\r\n$1\r\nX\r\n$2\r\n60\r\n$1\r\n1\r\n"),
    ],
)
def test_a_batch_is_one_message(batch, message):
    assert pack(batch, key_locking=False) == message


@pytest.mark.parametrize(
    ("key_locking", "text"),
    [(False, b"return 1"), (True, b"#!lua flags=allow-key-locking\nreturn 1")],
)
def test_a_script_has_upstashs_flag_for_upstash_only(key_locking, text):
    batch = Batch([("EVAL", SCRIPT, 1, "k")])
    assert parse(pack(batch, key_locking=key_locking)) == [[b"EVAL", text, b"1", b"k"]]


@pytest.mark.parametrize(
    "batch", [Batch([GET, ("GET", "\ud800")]), Batch([("EVAL", SCRIPT, "\udfff")])]
)
def test_a_lone_surrogate_is_an_error(batch):
    with pytest.raises(NotSerializable, match="lone surrogate"):
        pack(batch, key_locking=False)


@pytest.mark.parametrize("argument", [None, object(), [], 1j])
def test_an_argument_of_another_type_is_an_error(argument):
    with pytest.raises(TypeError, match="must be str, int, float or bytes"):
        pack(Batch([("SET", "k", argument)]), key_locking=False)


@given(st.data())
def test_replies_are_decoded_in_pieces_of_any_size(data):
    stream = b"+OK\r\n:-1\r\n$-1\r\n$3\r\n\r\n\xff\r\n*2\r\n$0\r\n\r\n*-1\r\n*0\r\n"
    cuts = [0, *data.draw(st.lists(st.integers(0, len(stream)))), len(stream)]
    reader, replies = ReplyReader(), []
    for start, end in zip(sorted(cuts), sorted(cuts)[1:], strict=False):
        reader.feed(stream[start:end])
        replies += iter(reader.next, INCOMPLETE)
    assert replies == [b"OK", -1, None, b"\r\n\xff", [b"", None], []]
    assert not reader.has_more()


def test_errors_are_replies_at_any_depth():
    reader = ReplyReader()
    reader.feed(b"-WRONGTYPE no\r\n*1\r\n-ERR \xff\r\n")
    first, (second,) = reader.next(), reader.next()
    assert (first.code, second.code) == ("WRONGTYPE", "ERR")
    assert not reader.saw_readonly


def test_a_read_only_replica_is_noted_for_the_connection():
    reader = ReplyReader()
    reader.feed(b"-READONLY You can't write against a read only replica.\r\n")
    reader.next()
    assert reader.saw_readonly


def check(*replies, atomic=False):
    count = len(replies) - 2 * atomic
    return check_replies(list(replies), Batch([GET] * count, atomic=atomic), LABEL)


WRONG_TYPE = make_reply_error("WRONGTYPE no")
QUOTA = make_reply_error("ERR max daily request limit exceeded. Limit: 10000")
PASSWORD = make_reply_error("NOAUTH Authentication required.")
LOADING = make_reply_error("LOADING the dataset is loaded")
ABORTED = make_reply_error("EXECABORT Transaction discarded because of previous errors.")


@pytest.mark.parametrize(
    "replies",
    [(b"x",), (None, 1), (WRONG_TYPE,), (WRONG_TYPE, WRONG_TYPE), (b"x", QUOTA), (PASSWORD, 1)],
)
def test_errors_of_single_commands_stay_in_place(replies):
    assert check(*replies) == list(replies)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(QUOTA, QuotaExceeded), (PASSWORD, AuthenticationFailed)],
)
def test_an_error_that_applies_to_every_command_is_raised(error, kind):
    for replies in [(error,), (error, error), (error, error, ABORTED)]:
        with pytest.raises(kind, match=r"\(cache 'x'\)$") as caught:
            check(*replies, atomic=len(replies) == 3)
        assert caught.value.code == error.code


def test_a_server_that_is_not_ready_is_unavailable_and_ran_nothing():
    with pytest.raises(ConnectionFailed, match=LABEL) as caught:
        check(LOADING, LOADING)
    assert caught.value.unsent


def test_a_transaction_is_unwrapped():
    assert check(b"OK", b"QUEUED", b"QUEUED", [1, WRONG_TYPE], atomic=True) == [1, WRONG_TYPE]


def test_a_discarded_transaction_raises_the_error_that_caused_it():
    unknown = make_reply_error("ERR unknown command 'FOO'")
    with pytest.raises(ReplyError) as caught:
        check(b"OK", b"QUEUED", unknown, ABORTED, atomic=True)
    assert caught.value is unknown
