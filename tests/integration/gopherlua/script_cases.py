"""Random inputs for the scripts of the package, with what is stored before."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple, TypeAlias

from continuum_upstash.federation.queue import scripts as queue_scripts
from continuum_upstash.migration.dual.back_fill import FILL
from continuum_upstash.plans.conditional import REPLACE
from continuum_upstash.plans.counters import INCR_EXISTING
from continuum_upstash.plans.locks import EXTEND, RELEASE
from continuum_upstash.protocol import Script
from continuum_upstash.ratelimit.engine.script import CHECK
from continuum_upstash.sessions.plans import ROTATE_KEY

Word: TypeAlias = str | int | bytes

NOW = 1_800_000_000_000  # milliseconds
VALUES = (
    *(b"a", b"b", b"", b"0", b"7", b"-3", b"1.5", b"\x00\xff\r\n", b"x" * 5000),
    *(b"9007199254740991", b"9007199254740992", b"9223372036854775807"),
)
NO_JOBS = ("no job", "", "\x00\xff", "zz 0 0 5 0 - - -\n{}", "ab 1 1234567 5 0 - - -\nx")
SCORES = ("-1000", "-1100", "-900", "0", "12.5", str(NOW - 1), str(NOW + 5), str(NOW + 10**9))
COUNTS = ("0", "3", "5", "999", "", "x", "-5", "1.5")
LIMITS = ("7", "3", "0", "-1", "2.9", "x", "7.")


class ScriptCase(NamedTuple):
    script: Script
    stored: list[tuple[Word, ...]]
    keys: list[str]
    arguments: list[Word]


def make_queue_case(random: Random) -> ScriptCase:
    pick = random.choice
    jobs = [_make_job(random) for _ in range(pick((0, 1, 3, 8, 20, 130)))]
    stored: list[tuple[Word, ...]] = [("ZADD", "jobs", pick(SCORES), job) for job in jobs]
    if random.random() < 0.1:
        stored.append(("ZADD", "jobs", -(10**15), "!paused"))
    for name in ("abc", "def"):
        if random.random() < 0.5:
            value = f"{_make_id(random)} {pick((0, NOW - 1, NOW + 5))}"
            stored.append(("HSET", "names", name, value))
    job, name = pick([*jobs, _make_job(random)]), pick(("abc", "def"))
    inputs: dict[Script, tuple[list[str], list[Word]]] = {
        queue_scripts.RESERVE: (
            ["jobs", "dead", "names"],
            [NOW, NOW + 30_000, "lease", pick((1, 2, 5, 100)), pick(("0", "1"))],
        ),
        queue_scripts.ENQUEUE_UNIQUE: (
            ["jobs", "names"],
            [name, _make_id(random), pick((0, NOW + 5)), NOW, pick(SCORES), _make_job(random)],
        ),
        queue_scripts.ACKNOWLEDGE_UNIQUE: (["jobs", "names"], [job, name, _make_id(random)]),
        queue_scripts.FAIL: (
            ["jobs", "dead", "names"],
            [job, NOW, _make_job(random), _make_id(random), pick(("", "abc"))],
        ),
        queue_scripts.REPLACE: (
            ["jobs", pick(("jobs", "dead"))],
            [
                word
                for _ in range(random.randint(0, 60))
                for word in (pick([*jobs, job]), pick(SCORES), _make_job(random))
            ],
        ),
    }
    script = pick([*inputs, *[queue_scripts.RESERVE] * 3])
    return ScriptCase(script, stored, *inputs[script])


def _make_id(random: Random) -> str:
    return f"{random.randrange(16**5):024x}"


def _make_job(random: Random) -> str:
    """Return a member of a queue, or what another program has added to its sorted set."""
    pick = random.choice
    if random.random() < 0.1:
        return pick(NO_JOBS)
    attempts, until = random.randint(0, 6), pick((0, NOW - 1, NOW + 9, 10**14))
    head = f"{_make_id(random)} {random.randint(-100, 100)} {attempts} {random.randint(1, 5)}"
    name, token, trace = pick(("-", "abc", "def")), pick(("-", "token")), pick(("-", "t=1"))
    payload = pick(("{}", "a\nb", "x" * 300, "é"))
    return f"{head} {until} {token} {name} {trace}\n{payload}"


def make_string_case(random: Random) -> ScriptCase:
    """Return a case of locks, counters, sessions, tasks or migrations."""
    pick = random.choice
    names = ("a", "b", "c")
    stored: list[tuple[Word, ...]] = [
        ("SET", name, pick(VALUES), "PX", pick((50_000, 90_000)))
        for name in names
        if random.random() < 0.8
    ]
    stored.append(("LPUSH", "list", "1"))
    key, value, other = pick(names), pick(VALUES), pick(VALUES)
    amount = pick((1, -1, 7, 2**53 - 1, -(2**53), 2**62))
    inputs: dict[Script, tuple[list[str], list[Word]]] = {
        RELEASE: ([key], [value]),
        EXTEND: ([key], [value, pick((1000, 60_000))]),
        INCR_EXISTING: ([pick((*names, "list"))], [amount]),
        REPLACE: ([key], [value, other, *pick(([], ["PX", 70_000]))]),
        ROTATE_KEY: (random.sample(names, pick((2, 3))), [value, 60_000, pick(("0", "1"))]),
        FILL: (random.sample(names, 2), [value, other, pick((0, 60_000))]),
    }
    script = pick([*inputs])
    return ScriptCase(script, stored, *inputs[script])


def make_limit_case(random: Random) -> ScriptCase:
    """Return a decision over one policy or several, with what earlier decisions stored."""
    case = ScriptCase(CHECK, [], [], [NOW + random.randint(-90_000, 90_000)])
    for number in range(random.choice((1, 1, 2, 4, 60))):
        _add_policy(case, f"policy{number}", random)
    return case


def _add_policy(case: ScriptCase, key: str, random: Random) -> None:
    _script, stored, keys, arguments = case
    pick = random.choice
    algorithm = pick(("strict", "fixed", "sliding", "token_bucket"))
    window = pick((60_000, 61_003, 3_600_000, 86_400_000 * 30))
    limit = pick((1, 2, 5, 12, 1000, 999_999_999))
    now = arguments[0]
    assert isinstance(now, int)
    parameter, has_state = now // window * window, random.random() < 0.7
    keys.append(key)
    if algorithm == "strict":
        parameter = max(1, window // 10)
        counts = " ".join(str(pick((0, 1, 2, 50))) for _ in range(random.randint(1, 14)))
        state = ("SET", key, f"{NOW // parameter + random.randint(-12, 3)} {counts}")
    elif algorithm == "token_bucket":
        parameter = random.randint(1, 5)
        refilled_at = pick((NOW - random.randrange(10**6), NOW + 5))
        state = ("HSET", key, "refilledAt", refilled_at, "tokens", pick((0, 1, 5, limit)))
    else:
        state = ("SET", key, pick(COUNTS))
    if has_state:
        stored.append(state)
    if algorithm == "sliding":
        keys.append(f"{key}:previous")
        stored.append(("SET", f"{key}:previous", pick(COUNTS)))
    is_shared = algorithm != "strict" and random.random() < 0.3
    arguments += [algorithm, limit, window, parameter, random.randint(0, min(5, limit))]
    arguments.append(int(is_shared))
    if is_shared:
        _add_shared_parts(case, key, random)


def _add_shared_parts(case: ScriptCase, key: str, random: Random) -> None:
    """Add what a policy shares with @upstash/ratelimit: dynamic limit, event and deny list."""
    _script, stored, keys, arguments = case
    keys.append(f"{key}:limit")
    if random.random() < 0.6:
        stored.append(("SET", f"{key}:limit", random.choice(LIMITS)))
    event = random.choice(("", '{"i":"x","s":'))
    arguments.append(event)
    if event:
        keys.append(f"{key}:events")
    values = [random.choice("xyz") for _ in range(random.randint(0, 3))]
    arguments += [len(values), *values]
    if values:
        keys.append(f"{key}:denied")
        stored.append(("SADD", f"{key}:denied", "y"))


MAKERS: tuple[Callable[[Random], ScriptCase], ...] = (
    make_queue_case,
    make_string_case,
    make_limit_case,
)
