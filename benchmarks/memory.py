"""Measures memory during an outage: the local store and the dirty keys under ten million keys.

    python -m benchmarks.memory [KEYS]

Each key is written once, with a value of 100 bytes, while the circuit breaker is open.
"""

from __future__ import annotations

import resource
import sys
from time import process_time

from continuum_upstash.config.resolve import Config
from continuum_upstash.plans import info
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.local.transport import LocalTransport


def main() -> None:
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    config = Config(mode="rest")
    policy = FailoverPolicy(config, LocalTransport(config))
    policy.breaker.force_open("benchmark")
    value = b"x" * 100
    print("| keys written | keys in the local store | dirty keys | peak memory, MB |")
    print("|---|---|---|---|")
    started = process_time()
    step = keys // 10
    for start in range(0, keys, step):
        write(policy, start, start + step, value)
        (text,) = policy.local.send(Batch((("INFO",),)))
        local = info.parse(text.decode())["keys"]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        cells = (start + step, local, len(policy.dirty_keys), peak)
        print("| {:,} | {:,} | {:,} | {:.0f} |".format(*cells), flush=True)
    print(f"\n{(process_time() - started) / keys * 1e6:.1f} µs of CPU per write")


def write(policy: FailoverPolicy, start: int, end: int, value: bytes) -> None:
    for number in range(start, end):
        policy.reply_locally(Batch((("SET", f":1:product:{number:08}", value),)))


if __name__ == "__main__":
    main()
