from concurrent.futures import ThreadPoolExecutor

import httpx

UNAVAILABLE = (
    "ERR Command is not available: 'NOPE'. See "
    "https://upstash.com/docs/redis/overall/rediscompatibility for details"
)
DIGEST_OF_W = "aceee8f5de193e29"  # xxhsum -H3


def test_a_pipeline_returns_results_and_errors_in_order(rest):
    assert rest.pipeline(
        ["SET", "a", "1"], ["INCR", "a"], ["LPUSH", "a", "x"], ["NOPE"], ["GET", "a"], ["MULTI"]
    ) == [
        "OK",
        2,
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        UNAVAILABLE,
        "2",
        'ERR Command "MULTI" is not allowed in REST or it has a special context path',
    ]


def test_commands_that_need_several_round_trips_keep_their_place_in_a_pipeline(rest):
    assert rest.pipeline(
        ["SET", "k", "1"],
        ["SET", "k", "2", "IFNE", "1"],
        ["SET", "k", "3", "IFNE", "0"],
        ["SCAN", 0],
        ["DEL", "k"],
        ["SCAN", 0],
    ) == ["OK", None, "OK", ["0", ["k"]], 1, ["0", []]]


def test_an_invalid_command_rejects_the_whole_pipeline(rest):
    response = rest.post("/pipeline", [["SET", "a", "1"], ["SET", "b", None]])
    assert (response.status_code, response.json()) == (
        400,
        {"error": "ERR null args are not supported"},
    )
    assert rest.send("EXISTS", "a") == 0


def test_a_transaction_returns_results_and_runtime_errors_in_order(rest):
    response = rest.post("/multi-exec", [["SET", "a", "x"], ["INCR", "a"], ["GET", "a"]])
    assert response.status_code == 200
    assert response.json() == [
        {"result": "OK"},
        {"error": "ERR value is not an int or out of range"},
        {"result": "x"},
    ]


def test_a_queue_error_discards_the_transaction(rest):
    for wrong, error in [
        (["NOPE"], UNAVAILABLE),
        (["GET"], "ERR wrong number of arguments for 'get' command"),
    ]:
        response = rest.post("/multi-exec", [["SET", "a", "1"], wrong])
        assert (response.status_code, response.json()) == (400, {"error": error})
    assert rest.send("EXISTS", "a") == 0


def test_translated_commands_work_inside_a_transaction(rest):
    rest.send("HSET", "h", "f", "v")
    response = rest.post(
        "/multi-exec",
        [
            ["SELECT", 0],
            ["SET", "k", "v"],
            ["SET", "k", "w", "IFEQ", "v"],
            ["DIGEST", "k"],
            ["DELEX", "k", "IFEQ", "w"],
            ["HEXPIRETIME", "h", "FIELDS", 1, "f"],
            ["BLPOP", "q", 0],
        ],
    )
    assert [item["result"] for item in response.json()] == [
        "OK",
        "OK",
        "OK",
        DIGEST_OF_W,
        1,
        [-1],
        None,
    ]


def test_a_condition_that_valkey_lacks_is_rejected_inside_a_transaction(rest):
    response = rest.post("/multi-exec", [["SET", "k", "v"], ["SET", "k", "w", "IFNE", "v"]])
    assert response.status_code == 400
    assert "the emulator does not support SET" in response.json()["error"]
    assert rest.send("EXISTS", "k") == 0


def test_a_hundred_concurrent_transactions_stay_separate(emulator, rest):
    def transfer(number: int) -> list[dict]:
        commands = [["INCR", "total"], ["SET", "last", number], ["GET", "last"], ["INCR", "total"]]
        return client.post("/multi-exec", json=commands).json()

    headers = {"Authorization": f"Bearer {emulator.token}"}
    with (
        httpx.Client(base_url=emulator.rest_url, headers=headers, verify=False) as client,
        ThreadPoolExecutor(20) as pool,
    ):
        responses = list(pool.map(transfer, range(100)))

    totals = []
    for number, (first, _, last, second) in enumerate(responses):
        assert last == {"result": str(number)}
        assert second["result"] == first["result"] + 1
        totals += [first["result"], second["result"]]
    assert sorted(totals) == list(range(1, 201))


def test_blocking_commands_return_immediately(rest):
    assert rest.pipeline(
        ["BLPOP", "q", 0],
        ["XREAD", "BLOCK", 0, "STREAMS", "s", "$"],
        ["RPUSH", "q", "a"],
        ["BLPOP", "q", 0],
        ["BLPOP", "q"],
    ) == [None, None, 1, ["q", "a"], "ERR wrong number of arguments for 'blpop' command"]
