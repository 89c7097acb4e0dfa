import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.emulator.redis.resp2_wire import (
    NULL_ARRAY,
    Error,
    Parser,
    Status,
    measure_size,
    pack,
    pack_reply,
)

_line = st.binary(max_size=20).filter(lambda text: b"\r" not in text and b"\n" not in text)
_scalar = st.one_of(
    st.none(),
    st.just(NULL_ARRAY),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=200),
    _line.map(Status),
    _line.map(Error),
)
_replies = st.recursive(_scalar, lambda inner: st.lists(inner, max_size=5), max_leaves=20)


def _with_types(reply):
    """Return the reply with its types: Status, Error and bytes compare as equal."""
    if isinstance(reply, list):
        return [_with_types(item) for item in reply]
    return type(reply), reply


@given(st.lists(_replies, max_size=5), st.lists(st.integers(1, 50), min_size=1))
def test_replies_are_parsed_from_pieces_of_any_size(replies, sizes):
    stream = b"".join(map(pack_reply, replies))
    parser, parsed, number = Parser(), [], 0
    while stream:
        length = sizes[number % len(sizes)]
        parsed += parser.feed(stream[:length])
        stream, number = stream[length:], number + 1
    assert _with_types(parsed) == _with_types(replies)


def test_bytes_that_are_not_resp_raise_an_error():
    with pytest.raises(ValueError, match="not a reply of RESP"):
        Parser().feed(b"HTTP/1.1 200 OK\r\n")


def test_a_line_break_in_an_error_becomes_a_space():
    assert pack_reply(Error(b"ERR a\r\n$3")) == b"-ERR a  $3\r\n"


def test_commands_are_packed_as_arrays_of_bulk_strings():
    assert pack([(b"GET", b"\r\n"), (b"PING",)]) == (
        b"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n*1\r\n$4\r\nPING\r\n"
    )


@pytest.mark.parametrize(
    ("reply", "length"), [(b"abc", 3), (5, 0), (None, 0), ([b"a", [b"bc", 1], None], 3)]
)
def test_the_size_of_a_reply_is_the_size_of_its_strings(reply, length):
    assert measure_size(reply) == length


@pytest.mark.parametrize(
    "data",
    [
        b"%1\r\n$1\r\na\r\n:1\r\n",
        b"~2\r\n$1\r\na\r\n_\r\n",
        b">2\r\n+pong\r\n*0\r\n",
        b",1.5\r\n",
        b"#t\r\n",
        b"(12345678901234567890\r\n",
        b"=5\r\ntxt:a\r\n",
        b"_\r\n",
    ],
)
def test_replies_of_resp3_are_packed_as_they_were_read(data):
    (reply,) = Parser().feed(data)
    assert pack_reply(reply, protocol=3) == data
