import pytest


@pytest.mark.parametrize(
    ("command", "billed"),
    [
        (["GET", "k"], 1),
        (["MGET", "a", "b", "c"], 1),
        (["MSET", "a", 1, "b", 2], 1),
        (["DEL", "a", "b"], 1),
        (["SET", "k", "v", "EX", 60, "NX"], 1),
        (["EXPIRE", "none", 1], 1),
        (["LPUSH", "string", "x"], 1),
        (["SCRIPT", "LOAD", "return 1"], 1),
        (["HEXPIRETIME", "h", "FIELDS", 1, "f"], 1),
        (["BLPOP", "q", 1], 1),
        (["EVAL", "return 1", 0], 1),
        (["EVAL", "redis.call('INCR', KEYS[1]) redis.call('TTL', KEYS[1])", 1, "n"], 3),
        (["EVAL", "for i = 1, 7 do redis.call('INCR', KEYS[1]) end", 1, "n"], 8),
        (["EVAL", "#!lua flags=allow-key-locking\nreturn redis.call('INCR', KEYS[1])", 1, "n"], 2),
        (["PING"], 0),
        (["INFO"], 0),
        (["SELECT", 0], 0),
        (["COMMAND"], 0),
        (["CONFIG", "GET", "notify-keyspace-events"], 0),
    ],
)  # fmt: skip
def test_a_command_is_billed_as_on_the_service(emulator, rest, command, billed):
    rest.send("SET", "string", "v")
    with emulator.count() as spent:
        rest.send(*command)
    assert (spent.billed, spent.requests) == (billed, 1)


@pytest.mark.parametrize("path", ["/pipeline", "/multi-exec"])
def test_each_command_of_a_batch_is_billed(emulator, rest, path):
    with emulator.count() as spent:
        rest.post(path, [["SET", "k", 1], ["INCR", "k"], ["PING"], ["GET", "k"]])
    assert (spent.billed, spent.requests) == (3, 1)


def test_a_command_that_is_rejected_before_it_runs_is_not_billed(emulator, rest):
    with emulator.count() as spent:
        rest.send("NOPE")
        rest.http.get("/get/k", headers={"Authorization": "Bearer wrong"})
    assert (spent.billed, spent.requests) == (0, 2)


def test_commands_over_tcp_are_billed_too(emulator, tcp):
    tcp.ping()
    with emulator.count() as spent:
        tcp.set("k", "v")
        tcp.eval("return redis.call('GET', KEYS[1])", 1, "k")
        tcp.ping()
    assert (spent.billed, spent.requests, spent.tcp_connections) == (3, 0, 0)


def test_bytes_count_the_bodies_only(emulator, rest):
    with emulator.count() as spent:
        rest.http.post("/set/k", content=b"12345")
    assert (spent.bytes_received, spent.bytes_sent) == (5, len(b'{"result":"OK"}'))


def test_reset_deletes_all_data_and_counts(emulator, rest):
    rest.send("SET", "k", "v")
    emulator.reset()
    assert emulator.read_usage() == type(emulator.read_usage())()
    assert rest.send("EXISTS", "k") == 0
