"""The TCP port answers as the service does, not as the Valkey behind it."""

import socket
from urllib.parse import urlsplit

import pytest
import redis

from continuum_upstash.emulator.process import running

UNAVAILABLE = "Command is not available: '{}'. See "


def open_socket(emulator) -> socket.socket:
    url = urlsplit(emulator.redis_url)
    return socket.create_connection((url.hostname, url.port), timeout=5)


@pytest.fixture
def raw(emulator):
    """Send bytes on an authenticated connection; return the lines of the reply."""
    with open_socket(emulator) as connection, connection.makefile("rb") as replies:

        def send(data: bytes, lines: int) -> list[bytes]:
            connection.sendall(data)
            return [replies.readline().rstrip(b"\r\n") for _ in range(lines)]

        assert send(b"AUTH %b\r\n" % emulator.token.encode(), 1) == [b"+OK"]
        yield send


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(emulator, request):
    with redis.Redis.from_url(emulator.redis_url, protocol=request.param, retry=None) as client:
        yield client


def test_the_token_is_the_password():
    with running("--token=t/o+k=en", "--read-only-token=reads") as emulator:
        assert urlsplit(emulator.redis_url).password == "t%2Fo%2Bk%3Den"
        address = emulator.redis_url.rpartition("@")[2]
        for url in (emulator.redis_url, f"redis://:t%2Fo%2Bk%3Den@{address}"):
            with redis.Redis.from_url(url) as client:
                assert client.set("k", "v")
        with redis.Redis.from_url(f"redis://default_ro:reads@{address}") as reader:
            assert reader.get("k") == b"v"
            for command in (["SET", "k", "w"], ["SCAN", "0"], ["KEYS", "*"], ["EVAL", "", "0"]):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    reader.execute_command(*command)


@pytest.mark.parametrize("login", ["default:{read_only_token}", "default_ro:{token}", ":wrong"])
def test_a_wrong_password_is_refused(emulator, login):
    tokens = {"token": emulator.token, "read_only_token": emulator.read_only_token}
    url = f"redis://{login.format(**tokens)}@{emulator.redis_url.rpartition('@')[2]}"
    with redis.Redis.from_url(url) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_a_command_before_auth_is_refused(emulator):
    with open_socket(emulator) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"-NOAUTH Authentication required.\r\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["OBJECT", "ENCODING", "k"], UNAVAILABLE.format("OBJECT ENCODING")),
        (["CLIENT", "KILL", "a"], UNAVAILABLE.format("CLIENT KILL")),
        (["CONFIG", "RESETSTAT"], UNAVAILABLE.format("CONFIG RESETSTAT")),
        (["SLOWLOG", "GET"], UNAVAILABLE.format("SLOWLOG GET")),
        (["NOPE"], UNAVAILABLE.format("NOPE")),
        (["SELECT", "1"], "Only 0th database is supported! Selected DB: 1"),
        (["INCR", "text"], "value is not an int or out of range"),
        (["CONFIG", "SET", "maxmemory", "1"], "Unsupported CONFIG parameter: maxmemory"),
        (["EVALSHA", "0" * 40, "0"], "Please use EVAL"),
        (["EVAL", "return redis.call('INCR', KEYS[1])", "1", "text"], "@user_script:1"),
        (["SET", "k" * 32_769, "v"], "max key size exceeded"),
    ],
)
def test_errors_are_those_of_the_service(client, command, message):
    client.set("text", "v")
    with pytest.raises(redis.ResponseError, match=message.replace("!", ".")) as failure:
        client.execute_command(*command)
    assert "\n" not in str(failure.value)


def test_info_and_config_are_those_of_the_service(client):
    info = client.info()
    assert (info["upstash_version"], info["redis_version"]) == ("1.13.3", "8.2.0")
    assert info["maxmemory_policy"] == "noeviction"
    assert client.config_get("maxmemory-policy") == {}


def test_commands_that_valkey_lacks(client):
    client.set("k", "v")
    assert client.execute_command("SET", "k", "w", "IFNE", "v") is None
    assert client.execute_command("SET", "k", "w", "IFEQ", "v") in (b"OK", True)
    assert client.execute_command("DELEX", "k", "IFEQ", "x") == 0
    assert client.execute_command("DELEX", "k", "IFEQ", "w") == 1


def test_scripts_with_the_key_locking_flag(client):
    script = "#!lua flags=allow-key-locking\nreturn redis.call('SET', KEYS[1], 'v')"
    assert client.eval(script, 1, "k") == b"OK"
    digest = client.script_load(script)
    assert client.evalsha(digest, 1, "k") == b"OK"
    with pytest.raises(redis.ResponseError, match="Dynamic keys are not allowed"):
        client.eval(script.replace("KEYS[1]", "'other'"), 1, "k")


def test_replies_keep_their_types(client):
    client.hset("h", mapping={"a": 1})
    client.zadd("z", {"m": 1.5})
    client.sadd("s", "x")
    assert client.hgetall("h") == {b"a": b"1"}
    assert client.zscore("z", "m") == 1.5
    assert client.smembers("s") == {b"x"}
    assert client.get("none") is None
    assert client.lpop("none", 2) is None
    assert client.scan(0) == (0, [b"h", b"z", b"s"]) or client.scan(0)[0] == 0


def test_a_transaction(client):
    client.set("n", 1)
    with client.pipeline() as pipeline:
        pipeline.incr("n").execute_command("DELEX", "none").get("n")
        assert pipeline.execute() == [2, 0, b"2"]


def test_a_watched_key_discards_the_transaction(client, rest):
    with client.pipeline() as pipeline:
        pipeline.watch("n")
        rest.send("SET", "n", 5)
        pipeline.multi()
        pipeline.incr("n")
        with pytest.raises(redis.WatchError):
            pipeline.execute()
    assert client.get("n") == b"5"


def test_an_error_while_commands_are_queued_discards_the_transaction(raw, rest):
    replies = raw(b"MULTI\r\nSET k v\r\nNOPE\r\nGET\r\nEXEC\r\nPING\r\n", 6)
    assert replies[:2] == [b"+OK", b"+QUEUED"]
    assert replies[2].startswith(b"-ERR Command is not available: 'NOPE'")
    assert replies[3] == b"-ERR wrong number of arguments for 'get' command"
    assert replies[4].startswith(b"-EXECABORT Transaction discarded because of previous errors")
    assert replies[5] == b"+PONG"
    assert rest.send("EXISTS", "k") == 0


def test_discard(raw):
    assert raw(b"MULTI\r\nSET k v\r\nDISCARD\r\nEXISTS k\r\nEXEC\r\n", 5) == [
        b"+OK", b"+QUEUED", b"+OK", b":0", b"-ERR EXEC without MULTI",
    ]  # fmt: skip


def test_a_blocking_command_blocks(client, rest):
    assert client.blpop("l", timeout=0.05) is None
    rest.send("RPUSH", "l", "v")
    assert list(client.blpop("l", timeout=1)) == [b"l", b"v"]


def test_subscriptions(client, rest):
    with client.pubsub() as pubsub:
        pubsub.subscribe("c")
        pubsub.psubscribe("p*")
        subscribed = {pubsub.get_message(timeout=5)["type"] for _ in range(2)}
        assert subscribed == {"subscribe", "psubscribe"}
        rest.send("PUBLISH", "c", "hello")
        assert pubsub.get_message(timeout=5)["data"] == b"hello"
        pubsub.unsubscribe("c")
        pubsub.punsubscribe("p*")
        assert pubsub.get_message(timeout=5)["type"] == "unsubscribe"
    assert client.ping()


def test_the_connection_is_usable_after_the_last_unsubscription(raw):
    raw(b"SUBSCRIBE c\r\n", 6)
    assert raw(b"GET k\r\n", 1)[0].startswith(b"-ERR Can't execute 'get'")
    raw(b"UNSUBSCRIBE c\r\n", 6)
    assert raw(b"GET k\r\n", 1) == [b"$-1"]


def test_data_that_is_no_command_closes_the_connection(emulator):
    for data in (b"*1\r\n:1\r\n", b"*a\r\n", b"*1\r\n$-1\r\n", b"x" * 70_000):
        with open_socket(emulator) as connection:
            connection.sendall(data)
            assert connection.recv(100).startswith(b"-ERR Protocol error: ")
            assert connection.recv(100) == b""


@pytest.mark.parametrize(
    ("kind", "commands", "error"),
    [
        ("quota", ["GET", "k"], "max requests limit exceeded"),
        ("capacity", ["SET", "k", "v"], "DB capacity quota exceeded"),
        ("readonly", ["SET", "k", "v"], "Writes are temporarily rejected"),
    ],
)
def test_faults_of_commands(client, emulator, kind, commands, error):
    with emulator.fault(kind, side="tcp"):
        with pytest.raises(redis.ResponseError, match=error):
            client.execute_command(*commands)
        with client.pipeline() as pipeline:
            pipeline.set("a", 1)
            pipeline.execute_command(*commands)
            with pytest.raises(redis.ResponseError):
                pipeline.execute()
    client.execute_command(*commands)
    assert client.exists("a") == 0
