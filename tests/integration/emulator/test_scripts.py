from hashlib import sha1

import pytest

KEY_LOCKING = "#!lua flags=allow-key-locking\n"
SCRIPT = KEY_LOCKING + "return redis.call('INCRBY', KEYS[1], ARGV[1])"
SHA = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


def dynamic_key_error(key: str) -> str:
    return (
        "ERR Dynamic keys are not allowed in Lua scripts when 'allow-key-locking' flag is set. "
        f"Key was: {key}"
    )


@pytest.fixture(autouse=True)
def _flush_scripts(rest):
    rest.send("SCRIPT", "FLUSH")


def test_the_key_locking_flag_is_accepted(rest):
    assert rest.send("EVAL", SCRIPT, 1, "k", 5) == 5


@pytest.mark.parametrize("first", [["EVAL", SCRIPT, 1, "k", 1], ["SCRIPT", "LOAD", SCRIPT]])
def test_evalsha_accepts_the_hash_of_the_original_script(rest, first):
    assert rest.send("EVALSHA", SHA, 1, "k", 1) == "NOSCRIPT No matching script. Please use EVAL."
    rest.send(*first)
    assert rest.send("SCRIPT", "EXISTS", SHA, SHA.upper(), "0" * 40) == [1, 1, 0]
    assert rest.send("EVALSHA", SHA, 1, "n", 7) == 7
    rest.send("SCRIPT", "FLUSH")
    assert rest.send("EVALSHA", SHA, 1, "n", 7).startswith("NOSCRIPT")


def test_script_load_returns_the_hash_of_the_original_script(rest):
    assert rest.send("SCRIPT", "LOAD", SCRIPT) == SHA


def test_other_flags_of_a_key_locking_script_are_kept(rest):
    script = "#!lua flags=no-writes,allow-key-locking\nreturn redis.call('SET', KEYS[1], 'v')"
    assert rest.send("EVAL", script, 1, "k").startswith(
        "ERR Error running script: @user_script:2: READONLY Write commands are not allowed "
        "from read-only scripts\nstack traceback:\n"
    )


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ("return redis.call('GET', 'other')", "other"),
        ("return redis.call('MSET', KEYS[1], 1, 'other', 2)", "other"),
        ("return redis.call('mget', KEYS[1], KEYS[1] .. ':suffix')", "k:suffix"),
        ("return redis.call('RENAME', KEYS[1], 'new')", "new"),
        ("return redis.call('DEL', 12)", "12"),
        ("return redis.pcall('SET', 'other', 1)", "other"),
    ],
)
def test_a_key_locking_script_may_access_only_declared_keys(rest, body, key):
    assert rest.send("EVAL", KEY_LOCKING + body, 1, "k") == dynamic_key_error(key)


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("redis.call('MSET', KEYS[1], 1, KEYS[2], 2) return redis.call('MGET', KEYS[1], KEYS[2])",
         ["1", "2"]),
        ("return #redis.call('TIME')", 2),
        ("return redis.call('PING')", "PONG"),
        ("return redis.pcall('SET', 'other', 1)['err'] ~= nil", 1),
        ("return redis.sha1hex('')", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("return cjson.encode({redis.status_reply('X')['ok']})", '["X"]'),
    ],
)  # fmt: skip
def test_a_key_locking_script_may_use_everything_else(rest, body, result):
    assert rest.send("EVAL", KEY_LOCKING + body, 2, "a", "b") == result


def test_scripts_without_the_flag_are_not_changed(rest):
    assert rest.send("EVAL", "return redis.call('SET', 'any', ARGV[1])", 0, "v") == "OK"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("\nreturn redis.call('LPUSH', KEYS[1], 'x')",
         "@user_script:2: WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("error('boo')", "@user_script:1: boo"),
    ],
)  # fmt: skip
def test_the_error_of_a_failed_script_has_the_form_of_the_service(rest, script, message):
    rest.send("SET", "k", "v")
    response = rest.post("/", ["EVAL", script, 1, "k"])
    assert response.status_code == 400
    assert response.json()["error"].startswith(
        f"ERR Error running script: {message}\nstack traceback:"
    )


def test_an_error_that_a_script_returns_is_not_changed(rest):
    assert rest.send("EVAL", "return redis.error_reply('MY own')", 0) == "MY own"


def test_a_key_locking_script_works_in_a_pipeline_and_in_a_transaction(rest):
    commands = [["EVAL", SCRIPT, 1, "k", 1], ["EVALSHA", SHA, 1, "k", 1]]
    assert rest.pipeline(*commands) == [1, 2]
    assert rest.post("/multi-exec", commands).json() == [{"result": 3}, {"result": 4}]


FAILS_HALF_WAY = """
redis.call('SET', KEYS[1], 'changed')
redis.call('RPUSH', KEYS[2], 'added')
redis.call('SET', KEYS[3], 'new')
return redis.call('INCR', KEYS[1])
"""


@pytest.mark.parametrize("flag", ["", KEY_LOCKING])
@pytest.mark.parametrize("path", ["/", "/pipeline"])
def test_a_failed_script_leaves_no_changes(emulator, rest, path, flag):
    rest.pipeline(["SET", "a", "old", "PX", 100_000], ["RPUSH", "b", "x"])
    command = ["EVAL", flag + FAILS_HALF_WAY, 3, "a", "b", "c"]
    with emulator.count() as spent:
        rest.post(path, command if path == "/" else [command])
    assert spent.billed == 5
    assert rest.pipeline(["GET", "a"], ["LRANGE", "b", 0, -1], ["EXISTS", "c"], ["TTL", "b"]) == [
        "old",
        ["x"],
        0,
        -1,
    ]
    assert 90_000 < rest.send("PTTL", "a") <= 100_000


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (["EVAL", "return 1", "x"], "ERR value is not an int or out of range"),
        (["EVAL", "return 1", 5, "k"], "ERR Number of keys can't be greater than number of args"),
        (["EVAL", "return 1"], "ERR wrong number of arguments for 'eval' command"),
        (["EVALSHA", "0" * 40, 1, "k"], "NOSCRIPT No matching script. Please use EVAL."),
    ],
)
def test_a_script_with_invalid_arguments_is_rejected(rest, command, error):
    assert rest.send(*command) == error
