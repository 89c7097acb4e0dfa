"""Searches for stored bytes whose decoding takes the most time and memory for their size.

    python -m benchmarks.decoding [SECONDS] [SEED]

It mutates stored bytes and goes on with those that cost most. It fails if decoding raises another
error than DecodeError, or exceeds the limits that docs/reference/stored-bytes.md states.
"""

from __future__ import annotations

import gc
import random
import sys
import time
import tracemalloc
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import msgpack
import zstandard

from continuum_upstash.codec.codec import Codec, DecodeError
from continuum_upstash.codec.text import SignedBase64

KEY = b"a key"
CODEC = Codec(pickle_keys=(KEY,))
BASE64 = SignedBase64((KEY,))

PRIME = 2**61 - 1  # Python's hash of a number is the number modulo this
MAX_BYTES = 256 * 1024
MIN_BYTES = 16 * 1024  # smaller inputs measure the parts that do not depend on the size
BEST = 40  # inputs of each kind that are mutated further

SECONDS_PER_BYTE, FREE_SECONDS = 2e-6, 0.05
MEMORY_PER_BYTE, FREE_MEMORY = 256, 1024 * 1024


def ext(code: int, payload: bytes) -> bytes:
    return msgpack.packb(msgpack.ExtType(code, payload))


def big_int(number: int) -> bytes:
    return ext(10, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


TOKENS = [
    *(bytes([lead]) for lead in b"\x00\x01\x02\x80\x81\x8f\x90\x91\x9f\xa0\xa1\xa2\xc0\xc4\xff"),
    *(bytes([lead]) for lead in b'{}[]:,"-~'),
    b"\xc7\x00\x01",
    b"\xc7\x00\x02",
    b"\xc7\x00\x03",
    b"\xc8\x00\x00\x02",
    b"\x91\xc7\x00\x02",
    b"\x92\xc7\x00\x01",
    b"\xdc\x00\x10",
    b"\xdd\x00\x00\x10\x00",
    b"\xde\x00\x10",
    b"\xdf\x00\x00\x01\x00",
    b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xd0\x80",
    ext(10, b""),
    ext(10, b"\x7f" * 40),
    ext(11, b"2026-01-01"),
    ext(11, b"2026-01-01T00:00:00 0 Europe/Paris"),
    ext(11, b"2026-01-01T00:00:00+01:00 0 M"),
    ext(12, b"2026-01-01"),
    ext(13, b"00:00+01:00"),
    ext(14, b"\x01"),
    ext(15, b"1"),
    ext(15, b"1e999999"),
    ext(15, b"NaN"),
    ext(16, bytes(16)),
    b"\\u1234",
    b'"":',
    b"[],",
    b"{},",
    b"0,",
    b"1e308,",
    b"9" * 40,
    b"~" + b"A" * 22 + b"==~",
]


def make_seeds() -> list[bytes]:
    """Return inputs of every format, and the worst that are known."""
    units = [token * (MIN_BYTES // len(token) + 1) for token in TOKENS]
    seeds = units + [wrap(token, MIN_BYTES // len(token) + 1) for token in TOKENS]
    seeds += [b"[" + unit + b"0]" for unit in units]
    seeds += [b"\x81\x01" * 1000 + b"\x80", b"\x91" * 1000 + b"\x80"]
    seeds.append(b'{"a":' * 900 + b"0" + b"}" * 900)
    colliding = [big_int(number * PRIME) for number in range(1, 4001)]
    pairs = [key + b"\x01" for key in colliding]
    seeds.append(b"\xdf" + len(pairs).to_bytes(4, "big") + b"".join(pairs))
    seeds.append(wrap(b"", len(pairs) + 1) + b"\xc7\x00\x02" + b"".join(colliding))
    seeds.append(wrap(b"\xde\x00\x80" + b"".join(pairs[:128]), 30))
    seeds += [CODEC.encode(value) for value in ([1, "a", None], {"a": (1, {2})}, "é" * 99)]
    return [*seeds, CODEC.encode(range(9))]


def wrap(unit: bytes, count: int) -> bytes:
    """Return an array of units."""
    return b"\xdd" + count.to_bytes(4, "big") + unit * count


def compress(content: bytes) -> bytes:
    return b"\x01" + zstandard.compress(content)


@dataclass(slots=True)
class Cost:
    """What decoding one input took.

    Attributes:
        outcome: the error's name, or "decoded".
        decompressed: the size of the content, which is `data` itself unless it is compressed.
    """

    data: bytes
    seconds: float
    memory: int
    outcome: str
    decompressed: int

    @property
    def kind(self) -> str:
        return "compressed" if self.decompressed > len(self.data) else "uncompressed"

    @property
    def seconds_per_byte(self) -> float:
        return max(0.0, self.seconds - FREE_SECONDS) / self.decompressed

    @property
    def memory_per_byte(self) -> float:
        return max(0, self.memory - FREE_MEMORY) / len(self.data)

    @property
    def is_within_limits(self) -> bool:
        return self.seconds_per_byte <= SECONDS_PER_BYTE and self.memory_per_byte <= MEMORY_PER_BYTE


def measure(data: bytes) -> Cost:
    seconds, outcome = 1e9, "decoded"
    for _ in range(2):
        started = time.thread_time()
        try:
            CODEC.decode(data)
        except DecodeError as error:
            outcome = str(error).rpartition(": ")[2]
        seconds = min(seconds, time.thread_time() - started)
    gc.collect()
    tracemalloc.start()
    with suppress(DecodeError):
        CODEC.decode(data)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Cost(data, seconds, memory, outcome, get_decompressed_size(data))


def get_decompressed_size(data: bytes) -> int:
    """Return the size of what is decoded at most; of `data` unless it is compressed."""
    content = data
    with suppress(ValueError):
        content = BASE64.decode(data) or data
    if content[:1] != b"\x01":
        return len(data)
    with suppress(zstandard.ZstdError, MemoryError):
        size = zstandard.frame_content_size(content[1:])
        return max(len(data), min(size, FREE_MEMORY + MEMORY_PER_BYTE * len(content)))
    return len(data)


class Mutator:
    """Makes new inputs of old ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def choose(self, inputs: list[bytes]) -> bytes:
        return self._random.choice(inputs)

    def mutate(self, data: bytes, other: bytes) -> bytes:
        for _ in range(self._random.choice((1, 1, 2, 4))):
            data = self._mutate_once(data, other)[:MAX_BYTES]
        return data or b"\x80"

    def _mutate_once(self, data: bytes, other: bytes) -> bytes:
        chance = self._random
        start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        part = data[start:end] or b"\x80"
        match chance.randrange(8):
            case 0:
                return data[:start] + chance.choice([*TOKENS, chance.randbytes(1)]) + data[start:]
            case 1:
                return data[:start] + chance.randbytes(1) + data[start + 1 :]
            case 2:
                return data[:start] + other[-len(part) :] + data[end:]
            case 3:
                return data[:start] + part[:64] * (1 + MIN_BYTES // len(part[:64])) + data[end:]
            case 4:
                unit = part[: chance.choice((4, 16, 64, 4096))]
                return wrap(unit, 1 + chance.choice((MIN_BYTES, MAX_BYTES)) // len(unit))
            case 5:
                token = chance.choice(TOKENS) + chance.choice(TOKENS)
                return wrap(token, 1 + MAX_BYTES // len(token) // 2)
            case _:
                return self._convert(data, part)

    def _convert(self, data: bytes, part: bytes) -> bytes:
        match self._random.randrange(4):
            case 0:
                return compress(data)
            case 1:
                with suppress(zstandard.ZstdError, MemoryError):
                    return zstandard.decompress(data[1:], max_output_size=MAX_BYTES)
                return b"\x92\xc7\x00\x01" + data
            case 2:
                return BASE64.encode(data).encode()
            case _:
                return compress(wrap(part, self._random.choice((2, 50, 5000)))[: 2**22])


@dataclass(slots=True)
class Search:
    """The most costly inputs so far, by kind and by what they cost."""

    mutator: Mutator
    best: dict[tuple[str, str], list[Cost]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, cost: Cost) -> None:
        self.outcomes[cost.outcome] += 1
        if not cost.is_within_limits:
            # Other processes may have disturbed the first measurement.
            cost = min((measure(cost.data) for _ in range(5)), key=time_cost)
            if not cost.is_within_limits:
                sys.exit(f"beyond the limits: {describe(cost)}\n{cost.data[:200]!r}")
        if len(cost.data) < MIN_BYTES and cost.decompressed < MIN_BYTES:
            return
        for what, key in (("time", time_cost), ("memory", memory_cost)):
            best = self.best.setdefault((cost.kind, what), [])
            best.append(cost)
            best.sort(key=key, reverse=True)
            del best[BEST:]

    def next_input(self) -> bytes:
        pool = [cost.data for best in self.best.values() for cost in best]
        return self.mutator.mutate(self.mutator.choose(pool), self.mutator.choose(pool))


def time_cost(cost: Cost) -> float:
    return cost.seconds_per_byte


def memory_cost(cost: Cost) -> float:
    return cost.memory_per_byte


def describe(cost: Cost) -> str:
    size, decompressed = len(cost.data), cost.decompressed
    return (
        f"{size:,} bytes ({decompressed:,} decompressed), {cost.outcome}: "
        f"{cost.seconds * 1e3:.0f} ms, {cost.memory / 1024:,.0f} KiB; beyond the first "
        f"{FREE_SECONDS * 1e3:.0f} ms, {cost.seconds_per_byte * 1e6:.2f} µs per decompressed byte; "
        f"beyond the first MiB, {cost.memory_per_byte:.0f} bytes per stored byte; "
        f"{cost.data[:24]!r}"
    )


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    search, count, end = Search(Mutator(seed)), 0, time.monotonic() + seconds
    for data in make_seeds():
        search.add(measure(data))
        search.add(measure(compress(data)))
    while time.monotonic() < end:
        search.add(measure(search.next_input()))
        count += 1
    print(f"{count:,} inputs, seed {seed}: {dict(search.outcomes.most_common(8))}")
    for (kind, what), best in search.best.items():
        print(f"\nmost {what}, {kind}:\n  {describe(best[0])}")


if __name__ == "__main__":
    main()
