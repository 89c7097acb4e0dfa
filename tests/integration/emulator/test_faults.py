import re
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest
import redis

from tests.waiting import wait_until


@pytest.fixture
def client(emulator):
    headers = {"Authorization": f"Bearer {emulator.token}"}
    with httpx.Client(
        base_url=emulator.rest_url, headers=headers, timeout=0.3, verify=False
    ) as client:
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
def test_a_network_fault_breaks_rest_requests_until_it_is_removed(emulator, client, kind, error):
    with emulator.fault(kind), pytest.raises(error):
        client.get("/get/k")
    assert client.get("/get/k").json() == {"result": "old"}


@pytest.mark.parametrize(("kind", "value"), [("reset", "old"), ("hang", "old"), ("close", "new")])
def test_close_runs_the_command_while_reset_and_hang_do_not(emulator, client, kind, value):
    with emulator.fault(kind), pytest.raises(httpx.TransportError):
        client.get("/set/k/new")
    assert client.get("/get/k").json() == {"result": value}


@pytest.mark.parametrize("side", ["rest", "tcp"])
def test_refuse_resets_open_connections_and_keeps_the_port(emulator, side):
    url = urlsplit(emulator.rest_url if side == "rest" else emulator.redis_url)
    address = (url.hostname, url.port)
    with socket.create_connection(address, timeout=5) as connection:
        with emulator.fault("refuse", side=side):
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, timeout=5)
        with socket.create_connection(address, timeout=5):
            pass


def test_latency_delays_the_reply(emulator, client):
    with emulator.fault("latency", seconds=0.1):
        started = time.monotonic()
        client.get("/ping")
        assert time.monotonic() - started >= 0.1


def test_garbage_is_not_json(emulator, client):
    with emulator.fault("garbage"):
        response = client.get("/get/k")
    with pytest.raises(ValueError, match=r"decode|Expecting"):
        response.json()


@pytest.mark.parametrize("status", [429, 500, 502])
def test_a_gateway_error_is_an_html_page(emulator, client, status):
    with emulator.fault("http", status=status, retry_after=7):
        response = client.get("/get/k")
    assert response.status_code == status
    assert response.headers["Retry-After"] == "7"
    assert response.text.startswith("<html>")


def test_a_fault_can_be_limited_to_the_next_requests(emulator, client):
    with emulator.fault("http", status=500, times=2):
        assert [client.get("/ping").status_code for _ in range(4)] == [500, 500, 200, 200]


QUOTA = "ERR max requests limit exceeded. Limit: 500000, Usage: 500000. See "
BUDGET = "ERR This database has been suspended for exceeding the defined budget limit. "
PLAN = "ERR This database has reached current Fixed plan limits. "
CAPACITY = "ERR DB capacity quota exceeded. Threshold: 268435456 bytes, Usage: "
UPGRADE = "READONLY Writes are temporarily rejected due to server upgrade"
COMMANDS = [["GET", "k"], ["SET", "k", "v"], ["DEL", "k"], ["EVAL", "return 1", 0], ["GET", "k"]]


@pytest.mark.parametrize(
    ("kind", "error", "rejected"),
    [
        ("quota", QUOTA, [True, True, True, True, True]),
        ("budget", BUDGET, [True, True, True, True, True]),
        ("plan", PLAN, [True, True, True, True, True]),
        ("capacity", CAPACITY, [False, True, False, True, False]),
        ("readonly", UPGRADE, [False, True, True, True, False]),
    ],
)
class TestCommandFaults:
    def test_rejected_commands_of_a_pipeline_are_errors_in_place(
        self, emulator, rest, kind, error, rejected
    ):
        with emulator.fault(kind):
            replies = rest.pipeline(*COMMANDS)
        assert [str(reply).startswith(error) for reply in replies] == rejected

    def test_a_single_command_returns_400_and_a_transaction_is_discarded(
        self, emulator, rest, kind, error, rejected
    ):
        with emulator.fault(kind):
            single = rest.post("/", ["SET", "k", "v"])
            transaction = rest.post("/multi-exec", COMMANDS)
        for response in (single, transaction):
            assert response.status_code == 400
            assert response.json()["error"].startswith(error)
        assert rest.send("EXISTS", "k") == 0

    def test_a_limited_fault_counts_whole_requests(self, emulator, rest, kind, error, rejected):
        with emulator.fault(kind, times=1):
            first, second = rest.pipeline(*COMMANDS), rest.pipeline(*COMMANDS)
        assert [str(reply).startswith(error) for reply in first] == rejected
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


def test_a_lagging_replica_applies_writes_after_its_delay(emulator, rest):
    rest.send("SET", "k", "old")
    with emulator.fault("lag", seconds=0.2):
        rest.send("SET", "k", "new")
        assert rest.send("GET", "k") == "old"
        wait_until(lambda: rest.send("GET", "k") != "old")
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
def test_a_network_fault_breaks_tcp_requests_until_it_is_removed(emulator, kind, error):
    with redis.Redis.from_url(emulator.redis_url, socket_timeout=0.3, retry=None) as client:
        client.set("k", "v")
        with emulator.fault(kind, side="tcp"), pytest.raises(error):
            client.get("k")
        assert client.get("k") == b"v"


def test_a_fault_of_one_side_does_not_affect_the_other(emulator, rest, tcp):
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


def test_clients_that_disconnect_at_once_leave_no_connection_to_valkey(emulator, rest):
    def count_connections() -> int:
        return int(re.search(r"connected_clients:(\d+)", rest.send("INFO", "clients"))[1])

    url = urlsplit(emulator.redis_url)
    before = count_connections()
    for _ in range(50):
        socket.create_connection((url.hostname, url.port), timeout=5).close()
    wait_until(lambda: emulator.read_usage().tcp_connections == 50)
    wait_until(lambda: count_connections() <= before)


def test_an_unknown_fault_is_rejected_with_a_list_of_the_known_ones(emulator):
    with pytest.raises(ValueError, match="known faults: refuse, reset"), emulator.fault("flood"):
        pass
