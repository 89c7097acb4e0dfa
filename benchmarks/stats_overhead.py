"""Measures what the statistics add to a call: python -m benchmarks.stats_overhead."""

from __future__ import annotations

import time
import timeit

from django.conf import settings

from continuum_upstash.observe import CommandDetails
from continuum_upstash.stats.counters import Counters
from continuum_upstash.stats.shared.writer import SharedWriter

CALLS = 100_000
KEY, VALUE = "shop:1:query:7", b"x" * 100
RECORDS = {
    "a hit": (("GET", KEY), VALUE),
    "a miss": (("GET", KEY), None),
    "a set": (("SET", KEY, VALUE, "PX", 300_000), b"OK"),
}


def main() -> None:
    print("| | µs, best of 15 |\n|---|---|")
    for name, (command, reply) in RECORDS.items():
        record = CommandDetails("default", "upstash-rest", (command,), [reply], 0.002, None)
        counters = Counters()
        print(f"| recording {name} | {measure_best(lambda c=counters, r=record: c.count(r)):.2f} |")
    writer = SharedWriter(Counters())
    writer.flush()
    microseconds = measure_best(writer.flush)
    print(f"| checking for statistics to write | {microseconds:.2f} |")


def measure_best(call) -> float:
    """Return the CPU time of a call in µs, without the time of the loop."""
    loop = min(timeit.repeat(lambda: None, number=CALLS, repeat=15, timer=time.thread_time))
    total = min(timeit.repeat(call, number=CALLS, repeat=15, timer=time.thread_time))
    return (total - loop) / CALLS * 1e6


if __name__ == "__main__":
    settings.configure()
    main()
