"""Commands that Valkey lacks, or whose replies differ from those of the service."""

import pytest

DIGEST_OF_OLD = "0f3ca07a8cc8bf40"


def unavailable(name: str) -> str:
    return (
        f"ERR Command is not available: '{name}'. See "
        "https://upstash.com/docs/redis/overall/rediscompatibility for details"
    )


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("slowlog get", "SLOWLOG GET"),
        ("role", "ROLE"),
        ("memory stats", "MEMORY STATS"),
        ("object encoding k", "OBJECT ENCODING"),
        ("sort k", "SORT"),
        ("shutdown", "SHUTDOWN"),
        ("debug sleep 0", "DEBUG"),
        ("config resetstat", "CONFIG RESETSTAT"),
        ("delifeq k v", "DELIFEQ"),
        ("json.get k", "JSON.GET"),
        ("nope", "NOPE"),
    ],
)
def test_a_command_that_the_reference_does_not_list_is_unavailable(rest, command, name):
    response = rest.post("/", command.split())
    assert (response.status_code, response.json()) == (400, {"error": unavailable(name)})


@pytest.mark.parametrize(
    "name", ["AUTH", "MULTI", "EXEC", "WATCH", "HELLO", "SUBSCRIBE", "CLIENT", "MONITOR"]
)
def test_connection_commands_are_rejected_over_rest(rest, name):
    assert rest.send(name, "x") == (
        f'ERR Command "{name}" is not allowed in REST or it has a special context path'
    )


def test_connection_commands_without_effect_over_rest_succeed(rest):
    assert rest.send("SELECT", 0) == "OK"
    assert rest.send("SELECT", 1) == "ERR Only 0th database is supported! Selected DB: 1"
    assert rest.send("CLIENT", "SETINFO", "LIB-NAME", "x") == "OK"
    assert rest.send("COMMAND") == []


def test_config_supports_only_keyspace_notifications(rest):
    assert rest.send("CONFIG", "SET", "notify-keyspace-events", "Ex") == "OK"
    name, flags = rest.send("CONFIG", "GET", "notify-keyspace-events")
    assert (name, set(flags)) == ("notify-keyspace-events", set("xE"))
    assert rest.send("CONFIG", "GET", "maxmemory-policy") == []
    assert "maxmemory-policy" in rest.send("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    rest.send("CONFIG", "SET", "notify-keyspace-events", "")


@pytest.mark.parametrize(
    ("condition", "is_met"),
    [
        (["IFEQ", "old"], True),
        (["IFEQ", "other"], False),
        (["IFNE", "other"], True),
        (["ifne", "old"], False),
        (["IFDEQ", DIGEST_OF_OLD], True),
        (["IFDEQ", "0" * 16], False),
        (["IFDNE", "0" * 16], True),
        (["IFDNE", DIGEST_OF_OLD], False),
    ],
)
class TestConditions:
    def test_set_writes_only_if_the_condition_is_met(self, emulator, rest, condition, is_met):
        rest.send("SET", "k", "old")
        with emulator.count() as spent:
            result = rest.send("SET", "k", "new", *condition, "EX", 100)
        assert result == ("OK" if is_met else None)
        assert rest.send("GET", "k") == ("new" if is_met else "old")
        assert (rest.send("TTL", "k") > 0) is is_met
        assert spent.billed == 1

    def test_delex_deletes_only_if_the_condition_is_met(self, emulator, rest, condition, is_met):
        rest.send("SET", "k", "old")
        with emulator.count() as spent:
            assert rest.send("DELEX", "k", *condition) == int(is_met)
        assert rest.send("EXISTS", "k") == int(not is_met)
        assert spent.billed == 1


def test_a_missing_key_is_equal_to_no_value(rest):
    assert rest.pipeline(
        ["SET", "a", "v", "IFEQ", "x"],
        ["SET", "b", "v", "IFNE", "x"],
        ["SET", "c", "v", "IFDEQ", DIGEST_OF_OLD],
        ["SET", "d", "v", "IFDNE", DIGEST_OF_OLD],
        ["DELEX", "e", "IFNE", "x"],
        ["DELEX", "e"],
        ["DIGEST", "e"],
    ) == [None, "OK", None, "OK", 0, 0, None]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (["DELEX"], "ERR wrong number of arguments for 'delex' command"),
        (["DELEX", "k", "IFEQ"], "ERR wrong number of arguments for 'delex' command"),
        (["DELEX", "k", "WHEN", "x"], "ERR syntax error"),
        (["DIGEST"], "ERR wrong number of arguments for 'digest' command"),
        (["SET", "k", "v", "IFNE", "x", "EX"], "ERR syntax error"),
    ],
)
def test_invalid_conditions_are_rejected(rest, command, error):
    assert rest.send(*command) == error


def test_a_condition_on_a_value_that_is_not_a_string_is_a_wrongtype_error(rest):
    rest.send("LPUSH", "k", "x")
    for command in (["SET", "k", "v", "IFNE", "x"], ["DELEX", "k", "IFDEQ", "x"], ["DIGEST", "k"]):
        assert rest.send(*command).startswith("WRONGTYPE")


def test_replies_that_differ_from_valkey(rest):
    assert rest.send("UNLINK") == 0
    rest.send("SET", "k", "v")
    assert rest.send("COPY", "k", "k") == 0
    rest.send("XADD", "s", "*", "f", "v")
    assert rest.send("XINFO", "CONSUMERS", "s", "no group") == []


def test_hash_field_expiry_is_rounded_down_to_seconds(rest):
    rest.send("HSET", "h", "f", 1, "g", 2)
    rest.send("HPEXPIREAT", "h", 4102444800900, "FIELDS", 1, "f")
    assert rest.send("HEXPIRETIME", "h", "FIELDS", 3, "f", "g", "x") == [4102444800, -1, -2]


@pytest.mark.parametrize("command", [["COMMAND"], ["COMMAND", "INFO", "GET"], ["COMMAND", "COUNT"]])
def test_command_returns_an_empty_list(rest, tcp, command):
    assert rest.send(*command) == []
    connection = tcp.connection_pool.get_connection()
    connection.send_command(*command)
    assert connection.read_response() == []


def test_approximate_trimming_is_exact(rest):
    rest.pipeline(*(["XADD", "s", "*", "f", number] for number in range(10)))
    rest.send("XADD", "s", "MAXLEN", "~", 5, "*", "f", "last")
    assert rest.send("XLEN", "s") == 5
    rest.send("XTRIM", "s", "MAXLEN", "~", 2)
    assert rest.send("XLEN", "s") == 2


def test_approximate_trimming_obeys_its_limit(rest):
    rest.pipeline(*(["XADD", "s", "*", "f", number] for number in range(350)))
    assert rest.send("XTRIM", "s", "MAXLEN", "~", 10, "LIMIT", 100) == 100
    assert rest.send("XTRIM", "s", "MAXLEN", "~", 10, "LIMIT", 1000) == 200
    assert rest.send("XLEN", "s") == 50  # a surplus of less than a hundred entries remains


@pytest.mark.parametrize(
    ("ranks", "options", "members"),
    [
        ([0, -1], ["LIMIT", 1, 2], ["b", "c"]),
        ([-3, -1], ["LIMIT", 1, -1], ["c", "d"]),
        ([0, 1], ["LIMIT", 1, 5], ["b"]),
        ([0, -1], ["REV", "LIMIT", 0, 1], ["d"]),
        ([0, -1], ["LIMIT", 9, 1], []),
    ],
)
def test_zrangestore_accepts_limit_for_ranks(rest, ranks, options, members):
    rest.send("ZADD", "z", 1, "a", 2, "b", 3, "c", 4, "d")
    assert rest.send("ZRANGESTORE", "t", "z", *ranks, *options) == len(members)
    assert rest.send("ZRANGE", "t", 0, -1) == members


@pytest.mark.parametrize(
    ("operation", "result"),
    [("DIFF", "\x01"), ("DIFF1", "\x08"), ("ANDOR", "\x06"), ("ONE", "\x09"), ("diff", "\x01")],
)
def test_bit_operations_of_redis_8(rest, operation, result):
    rest.pipeline(["SET", "x", "\x07"], ["SET", "y", "\x06"], ["SET", "z", "\x0c"])
    assert rest.send("BITOP", operation, "t", "x", "y", "z") == 1
    assert rest.send("GET", "t") == result


def test_a_bit_operation_of_missing_keys_deletes_the_target(rest):
    rest.send("SET", "t", "v")
    assert rest.send("BITOP", "ONE", "t", "none") == 0
    assert rest.send("EXISTS", "t") == 0
    assert rest.send("BITOP", "DIFF", "t", "none").startswith("ERR BITOP DIFF must be called")


def test_scan_with_an_unknown_type_finds_nothing(rest):
    rest.send("SET", "k", "v")
    assert rest.send("SCAN", 0, "TYPE", "no-such-type") == ["0", []]


@pytest.mark.parametrize(
    ("options", "members"),
    [
        (["LIMIT", 1, 2], ["b", "c"]),
        (["LIMIT", 2, -1], ["c", "d"]),
        (["REV", "LIMIT", 0, 1], ["d"]),
        (["LIMIT", 1, 1, "WITHSCORES"], ["b", "2"]),
        (["LIMIT", 0, "x"], "ERR value is not an int or out of range"),
    ],
)
def test_zrange_by_rank_accepts_limit(rest, options, members):
    rest.send("ZADD", "z", 1, "a", 2, "b", 3, "c", 4, "d")
    assert rest.send("ZRANGE", "z", 0, -1, *options) == members


@pytest.mark.parametrize("section", ["", "all", "default"])
def test_info_has_the_fields_of_the_service(rest, section):
    rest.send("SET", "k", "v" * 10_000)
    text = rest.http.get(f"/info/{section}").json()["result"]
    info = dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)
    assert info["upstash_version"]
    assert info["redis_mode"] == "standalone"
    assert info["maxmemory_policy"] == "noeviction"
    assert 10_000 < int(info["total_data_size"]) < int(info["max_data_size"]) == 268435456
    assert info["db0"].startswith("keys=1,expires=0")
    assert "valkey" not in text
    assert all(line.endswith("\r") for line in text.split("\n")[:-1])


def test_info_returns_one_section_or_only_the_heading_of_an_unknown_one(rest):
    assert rest.send("INFO", "clients").splitlines()[0] == "# Clients"
    assert "# Memory" not in rest.send("INFO", "clients")
    assert rest.send("INFO", "modules") == "# Modules\r\n"
    assert "used_memory" not in rest.send("INFO", "MEMORY")
