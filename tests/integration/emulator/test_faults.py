import re
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest
import redis


@pytest.fixture
def impatient(emulator):
    headers = {"Authorization": f"Bearer {emulator.token}"}
    with httpx.Client(base_url=emulator.rest_url, headers=headers, timeout=0.3) as client:
        assert client.get("/set/k/old").is_success
        yield client


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset", httpx.ReadError),
        ("hang", httpx.ReadTimeout),
        ("close", httpx.RemoteProtocolError),
    ],
)
def test_network_faults_over_rest(emulator, impatient, kind, error):
    with emulator.fault(kind), pytest.raises(error):
        impatient.get("/get/k")
    assert impatient.get("/get/k").json() == {"result": "old"}


@pytest.mark.parametrize(("kind", "value"), [("reset", "old"), ("hang", "old"), ("close", "new")])
def test_only_a_connection_that_ends_in_mid_reply_has_run_the_command(
    emulator, impatient, kind, value
):
    with emulator.fault(kind), pytest.raises(httpx.TransportError):
        impatient.get("/set/k/new")
    assert impatient.get("/get/k").json() == {"result": value}


@pytest.mark.parametrize("side", ["rest", "tcp"])
def test_a_refused_port_resets_what_was_open_and_is_the_same_port_afterwards(emulator, side):
    url = urlsplit(emulator.rest_url if side == "rest" else emulator.redis_url)
    door = (url.hostname, url.port)
    with socket.create_connection(door, timeout=5) as connected:
        with emulator.fault("refuse", side=side):
            with pytest.raises(ConnectionResetError):
                connected.recv(1)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(door, timeout=5)
        with socket.create_connection(door, timeout=5):
            pass


def test_latency_delays_the_reply(emulator, impatient):
    with emulator.fault("latency", seconds=0.1):
        started = time.monotonic()
        impatient.get("/ping")
        assert time.monotonic() - started >= 0.1


def test_garbage_is_not_json(emulator, impatient):
    with emulator.fault("garbage"):
        answer = impatient.get("/get/k")
    with pytest.raises(ValueError, match=r"decode|Expecting"):
        answer.json()


@pytest.mark.parametrize("status", [429, 500, 502])
def test_a_gateway_answers_in_html(emulator, impatient, status):
    with emulator.fault("http", status=status, retry_after=7):
        answer = impatient.get("/get/k")
    assert answer.status_code == status
    assert answer.headers["Retry-After"] == "7"
    assert answer.text.startswith("<html>")


def test_a_fault_may_strike_the_next_requests_only(emulator, impatient):
    with emulator.fault("http", status=500, times=2):
        assert [impatient.get("/ping").status_code for _ in range(4)] == [500, 500, 200, 200]


QUOTA = "ERR max requests limit exceeded. Limit: 500000, Usage: 500000. See "
CAPACITY = "ERR DB capacity quota exceeded. Threshold: 268435456 bytes, Usage: "
UPGRADE = "READONLY Writes are temporarily rejected due to server upgrade"
COMMANDS = [["GET", "k"], ["SET", "k", "v"], ["DEL", "k"], ["EVAL", "return 1", 0], ["GET", "k"]]


@pytest.mark.parametrize(
    ("kind", "error", "struck"),
    [
        ("quota", QUOTA, [True, True, True, True, True]),
        ("capacity", CAPACITY, [False, True, False, True, False]),
        ("readonly", UPGRADE, [False, True, True, True, False]),
    ],
)
class TestOutages:
    def test_commands_of_a_pipeline_are_refused_in_place(self, emulator, rest, kind, error, struck):
        with emulator.fault(kind):
            replies = rest.pipeline(*COMMANDS)
        assert [str(reply).startswith(error) for reply in replies] == struck

    def test_a_lone_command_is_a_400_and_a_transaction_is_discarded(
        self, emulator, rest, kind, error, struck
    ):
        with emulator.fault(kind):
            lone = rest.post("/", ["SET", "k", "v"])
            transaction = rest.post("/multi-exec", COMMANDS)
        for answer in (lone, transaction):
            assert answer.status_code == 400
            assert answer.json()["error"].startswith(error)
        assert rest.send("EXISTS", "k") == 0

    def test_a_counted_outage_strikes_whole_requests(self, emulator, rest, kind, error, struck):
        with emulator.fault(kind, times=1):
            first, second = rest.pipeline(*COMMANDS), rest.pipeline(*COMMANDS)
        assert [str(reply).startswith(error) for reply in first] == struck
        assert second == [None, "OK", 1, 1, None]


def test_a_lagging_replica_serves_old_values_unless_the_sync_token_is_sent(emulator, rest):
    rest.send("SET", "k", "old")
    with emulator.fault("lag", seconds=3600):
        written = rest.post("/", ["SET", "k", "new"]).headers["Upstash-Sync-Token"]
        stale = rest.http.get("/get/k")
        assert stale.json() == {"result": "old"}
        assert rest.http.get(
            "/get/k", headers={"Upstash-Sync-Token": stale.headers["Upstash-Sync-Token"]}
        ).json() == {"result": "old"}
        fresh = rest.http.get("/get/k", headers={"Upstash-Sync-Token": written})
        assert fresh.json() == {"result": "new"}
        assert fresh.headers["Upstash-Sync-Token"] == written
    assert rest.send("GET", "k") == "new"


def test_a_lagging_replica_follows(emulator, rest):
    rest.send("SET", "k", "old")
    with emulator.fault("lag", seconds=0.2):
        rest.send("SET", "k", "new")
        assert rest.send("GET", "k") == "old"
        deadline = time.monotonic() + 5
        while rest.send("GET", "k") == "old":
            assert time.monotonic() < deadline
        assert rest.send("GET", "k") == "new"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("refuse", redis.ConnectionError),
        ("reset", redis.ConnectionError),
        ("hang", redis.TimeoutError),
        ("close", redis.ConnectionError),
    ],
)
def test_network_faults_over_tcp(emulator, kind, error):
    with redis.Redis.from_url(emulator.redis_url, socket_timeout=0.3, retry=None) as client:
        client.set("k", "v")
        with emulator.fault(kind, side="tcp"), pytest.raises(error):
            client.get("k")
        assert client.get("k") == b"v"


def test_faults_of_one_side_spare_the_other(emulator, rest, tcp):
    with emulator.fault("refuse", side="tcp"):
        assert rest.send("PING") == "PONG"
    with emulator.fault("refuse", side="rest"):
        assert tcp.ping()


def test_latency_over_tcp_keeps_the_order(emulator, tcp):
    url = urlsplit(emulator.redis_url)
    with (
        socket.create_connection((url.hostname, url.port), timeout=5) as connection,
        connection.makefile("rb") as replies,
    ):
        connection.sendall(f"AUTH {url.password}\r\n".encode())
        assert replies.readline() == b"+OK\r\n"
        with emulator.fault("latency", side="tcp", seconds=0.01, jitter=0.01):
            for number in range(100):
                connection.sendall(b"RPUSH l %d\r\n" % number)
            assert [replies.readline() for _ in range(100)][-1] == b":100\r\n"
    assert tcp.lrange("l", 0, -1) == [b"%d" % number for number in range(100)]


def test_clients_that_leave_at_once_leave_no_connection_behind(emulator, rest):
    def connected() -> int:
        return int(re.search(r"connected_clients:(\d+)", rest.send("INFO", "clients"))[1])

    url = urlsplit(emulator.redis_url)
    before = connected()
    for _ in range(50):
        socket.create_connection((url.hostname, url.port), timeout=5).close()
    deadline = time.monotonic() + 10
    while connected() > before or emulator.counted().tcp_connections < 50:
        assert time.monotonic() < deadline


def test_a_fault_that_does_not_exist_is_refused_with_those_that_do(emulator):
    with pytest.raises(ValueError, match="there is refuse, reset"), emulator.fault("flood"):
        pass
