"""The REST transport against the emulator: a real Valkey behind Upstash's request forms."""

from __future__ import annotations

import random
from contextlib import closing

import pytest

from continuum_upstash.codec.codec import Codec
from continuum_upstash.codec.text import SignedBase64
from continuum_upstash.config.secrets import Secret
from continuum_upstash.errors import (
    AuthenticationFailed,
    NotPermitted,
    NotSerializable,
    QuotaExceeded,
    ReplyError,
    Unavailable,
)
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Script
from continuum_upstash.transports.rest.transport import RestTransport
from tests.integration.rest.rest_clients import config

pytestmark = pytest.mark.usefixtures("fresh")


@pytest.fixture
def fresh(upstash_emulator):
    upstash_emulator.flush()
    upstash_emulator.reset()


@pytest.fixture
def db(rest, upstash_emulator):
    return rest(upstash_emulator.rest_url, token=Secret(upstash_emulator.token))


def as_base64(emulator, content):
    return SignedBase64((emulator.token.encode(),)).encode(content).encode()


BINARY = b"\x80\x00\xff\r\n"
KEYS = [
    "k",
    "a b",
    "clé:1",
    "100%",
    "a/b",
    "q?x=1&y",
    "#",
    "+",
    "..",
    "",
    "a//b",
    "\x00\x1f",
    "é" * 200,
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", [b"text", b"", BINARY])
def test_every_key_is_stored_unchanged(db, upstash_emulator, key, value):
    assert db.send(("SET", key, value, "PX", 60_000)) == [b"OK"]
    (keys,) = db.send(("KEYS", "*"))
    assert keys == [key.encode()]
    (stored,) = db.send(("GET", key))
    assert stored in {value, as_base64(upstash_emulator, value)}
    (ttl,) = db.send(("PTTL", key))
    assert 0 < ttl <= 60_000


@pytest.mark.parametrize("value", [b"text", BINARY], ids=["text", "binary"])
class TestSetHasTheSameRepliesInEveryRequestKind:
    def test_nx(self, db, upstash_emulator, value):
        command = ("SET", "k", value, "PX", 60_000, "NX")
        assert db.send(command) == [b"OK"]
        assert db.send(command) == [None]
        assert db.send(("GET", "k"))[0] in {value, as_base64(upstash_emulator, value)}

    def test_nx_on_a_key_of_another_type(self, db, value):
        db.send(("LPUSH", "k", b"x"))
        assert db.send(("SET", "k", value, "NX")) == [None]

    def test_xx(self, db, upstash_emulator, value):
        command = ("SET", "k", value, "XX", "PX", 60_000)
        assert db.send(command) == [None]
        db.send(("SET", "k", b"old"))
        assert db.send(command) == [b"OK"]
        assert db.send(("GET", "k"))[0] in {value, as_base64(upstash_emulator, value)}

    def test_keepttl(self, db, upstash_emulator, value):
        db.send(("SET", "k", b"old", "PX", 60_000))
        assert db.send(("SET", "k", value, "KEEPTTL")) == [b"OK"]
        assert db.send(("GET", "k"))[0] in {value, as_base64(upstash_emulator, value)}
        assert db.send(("PTTL", "k"))[0] > 0

    def test_xx_and_keepttl(self, db, upstash_emulator, value):
        db.send(("SET", "k", b"old", "PX", 60_000))
        assert db.send(("SET", "k", value, "XX", "KEEPTTL")) == [b"OK"]
        assert db.send(("GET", "k"))[0] in {value, as_base64(upstash_emulator, value)}

    def test_get_with_keepttl(self, db, value):
        db.send(("SET", "k", b"old", "PX", 60_000))
        assert db.send(("SET", "k", value, "KEEPTTL", "GET")) == [b"old"]
        assert db.send(("PTTL", "k"))[0] > 0

    def test_ifeq(self, db, value):
        db.send(("SET", "k", BINARY))
        assert db.send(("SET", "k", value, "IFEQ", "other")) == [None]
        db.send(("SET", "k", b"text"))
        assert db.send(("SET", "k", value, "IFEQ", "text")) == [b"OK"]

    def test_other_commands_whose_last_word_is_a_value(self, db, value):
        assert db.send(("PSETEX", "k", 60_000, value)) == [b"OK"]
        assert db.send(("GETSET", "k", value)) == [value]
        assert db.send(("HSET", "h", "field", value)) == [1]
        assert db.send(("HGETALL", "h")) == [[b"field", value]]
        assert db.send(("RPUSH", "l", value)) == [1]
        assert db.send(("LRANGE", "l", 0, -1)) == [[value]]


def test_ten_thousand_random_values_are_unchanged_by_each_request_kind(db, upstash_emulator):
    chance = random.Random(11)
    codec = Codec(base64=SignedBase64((upstash_emulator.token.encode(),)))

    def blobs(count: int) -> list[bytes]:
        return [chance.randbytes(chance.choice([1, 2, 7, 30, 200])) for _ in range(count)]

    bodies = blobs(500)
    texts = [blob.decode("latin-1").encode() for blob in blobs(2_500)]
    values = blobs(7_000)
    for at, body in enumerate(bodies):
        assert db.send(("SET", f"body:{at}", body)) == [b"OK"]
    store(db, "text", texts)
    store(db, "base64", [codec.encode(value) for value in values])
    for name, written in (("body", bodies), ("text", texts)):
        get_all = ("MGET", *[f"{name}:{at}" for at in range(len(written))])
        assert db.send(get_all) == [written]  # as RESP2
        assert db.send(get_all, ("PING",)) == [written, b"PONG"]  # as base64
    (stored,) = db.send(("MGET", *[f"base64:{at}" for at in range(len(values))]))
    assert [codec.decode(each) for each in stored] == values


def store(db, name: str, values: list[bytes]) -> None:
    for start in range(0, len(values), 500):
        part = enumerate(values[start : start + 500], start)
        replies = db.send(*[("SET", f"{name}:{at}", value) for at, value in part])
        assert set(replies) == {b"OK"}


def test_a_pipeline_keeps_order_and_has_errors_in_place(db):
    replies = db.send(
        ("SET", "k", b"text"), ("INCR", "k"), ("GET", "k"), ("EVAL", "return {1, 'a'}", 0)
    )
    assert isinstance(replies[1], ReplyError)
    assert (replies[0], *replies[2:]) == (b"OK", b"text", [1, b"a"])


@pytest.mark.parametrize("beside", [[], [("PING",)]], ids=["alone", "in a pipeline"])
def test_a_commands_error_is_the_same_alone_and_in_a_pipeline(db, beside):
    db.send(("LPUSH", "k", b"x"))
    error = db.send(("GET", "k"), *beside)[0]
    assert isinstance(error, ReplyError)
    assert error.code == "WRONGTYPE"
    assert isinstance(db.send(("NOSUCHCOMMAND",), *beside)[0], ReplyError)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**63), 2**63 - 1])
def test_whole_numbers_are_exact(db, number):
    assert db.send(("INCRBY", "n", number)) == [number]
    assert db.send(("INCRBY", "n", 0), ("GET", "n")) == [number, str(number).encode()]


def test_a_script_receives_its_binary_argument_unchanged(db):
    keep = Script("redis.call('SET', KEYS[1], ARGV[1]) return ARGV[1]", len)
    assert db.send(("EVAL", keep, 1, "k", BINARY)) == [BINARY]
    assert db.send(("GET", "k")) == [BINARY]


def test_a_wrong_token_is_rejected(rest, upstash_emulator):
    client = rest(upstash_emulator.rest_url, token=Secret("wrong"))
    for commands in ([("PING",)], [("PING",), ("PING",)], [("SET", "k", BINARY)]):
        with pytest.raises(AuthenticationFailed, match="Copy the token"):
            client.send(*commands)


def test_a_read_only_token_can_only_read(db, rest, upstash_emulator):
    db.send(("SET", "k", b"1"))
    client = rest(upstash_emulator.rest_url, token=Secret(upstash_emulator.read_only_token))
    assert client.send(("GET", "k")) == [b"1"]
    read, written = client.send(("GET", "k"), ("SET", "k", b"2"))
    assert read == b"1"
    assert isinstance(written, NotPermitted)
    assert isinstance(client.send(("SET", "k", BINARY))[0], NotPermitted)


def test_an_exhausted_quota_is_reported_as_such(db, upstash_emulator):
    with upstash_emulator.fault("quota"):
        (reply,) = db.send(("GET", "k"))
    assert isinstance(reply, QuotaExceeded)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_server_error_is_unavailable(db, upstash_emulator, status):
    with (
        upstash_emulator.fault("http", status=status),
        pytest.raises(Unavailable, match=f"HTTP {status}"),
    ):
        db.send(("GET", "k"))
    assert db.send(("PING",)) == [b"PONG"]


def test_an_increment_whose_reply_is_incomplete_is_not_sent_again(db, upstash_emulator):
    db.send(("INCR", "n"))
    with upstash_emulator.fault("close", times=1), pytest.raises(Unavailable):
        db.send(("INCR", "n"))
    assert db.send(("GET", "n"))[0] in {b"1", b"2"}


def test_a_hundred_commands_are_a_hundred_requests_over_one_connection(db, upstash_emulator):
    with upstash_emulator.count() as spent:
        for _ in range(100):
            db.send(("GET", "k"))
    assert (spent.requests, spent.billed) == (100, 100)
    assert spent.connections <= 1


def test_a_lone_surrogate_is_never_sent(db, upstash_emulator):
    with upstash_emulator.count() as spent, pytest.raises(NotSerializable):
        db.send(("GET", "\ud800"))
    assert spent.requests == 0


class TestTransactions:
    @pytest.fixture
    def transact(self, upstash_emulator):
        url, token = upstash_emulator.rest_url, Secret(upstash_emulator.token)
        transport = RestTransport(config(url, token=token))
        with closing(transport):
            yield lambda *commands: transport.send(Batch(commands, atomic=True))

    def test_replies_come_in_order_with_errors_in_place(self, transact, upstash_emulator):
        replies = transact(("SET", "k", BINARY), ("INCR", "k"), ("GET", "k"))
        assert replies[0] == b"OK"
        assert isinstance(replies[1], ReplyError)
        assert replies[2] == as_base64(upstash_emulator, BINARY)

    def test_a_discarded_transaction_fails_as_a_whole_and_changes_nothing(self, transact):
        with pytest.raises(ReplyError, match="NOPE"):
            transact(("SET", "k", b"1"), ("NOPE",))
        assert transact(("GET", "k"), ("PING",)) == [None, b"PONG"]
