import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.emulator.redis.resp2 import (
    NULL_ARRAY,
    Error,
    Parser,
    Status,
    pack,
    pack_reply,
    size,
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


def _shape(reply):
    """Equality of bytes ignores their kind, and the kind is half of what is tested."""
    return [_shape(item) for item in reply] if isinstance(reply, list) else (type(reply), reply)


@given(st.lists(_replies, max_size=5), st.lists(st.integers(1, 50), min_size=1))
def test_replies_survive_any_cut_of_the_stream(replies, cuts):
    stream = b"".join(map(pack_reply, replies))
    parser, parsed, turn = Parser(), [], 0
    while stream:
        length = cuts[turn % len(cuts)]
        parsed += parser.feed(stream[:length])
        stream, turn = stream[length:], turn + 1
    assert _shape(parsed) == _shape(replies)


def test_what_is_no_reply_is_refused():
    with pytest.raises(ValueError, match="not a RESP2 reply"):
        Parser().feed(b"HTTP/1.1 200 OK\r\n")


def test_a_line_break_in_an_error_cannot_end_its_line():
    assert pack_reply(Error(b"ERR a\r\n$3")) == b"-ERR a  $3\r\n"


def test_commands_are_arrays_of_bulk_strings():
    assert pack([(b"GET", b"\r\n"), (b"PING",)]) == (
        b"*2\r\n$3\r\nGET\r\n$2\r\n\r\n\r\n*1\r\n$4\r\nPING\r\n"
    )


@pytest.mark.parametrize(
    ("reply", "length"), [(b"abc", 3), (5, 0), (None, 0), ([b"a", [b"bc", 1], None], 3)]
)
def test_the_size_of_a_reply_is_that_of_its_strings(reply, length):
    assert size(reply) == length
