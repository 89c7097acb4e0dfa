"""Examines a sample of the round trips: which key families and which code paths use the database.

Only with CONTINUUM_STATS["SAMPLE"] = N, which examines one round trip of N at random. The other
records only reduce a counter. Names are bounded: what is beyond them counts as ``(other)``. The
counts are part of `Totals.samples`, by ``<measure> <subject>``.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from time import monotonic
from types import FrameType
from typing import Final

from django.conf import settings
from django.core.cache import caches
from django.core.signals import request_started

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.keys import (
    RATELIMIT_KEYS,
    RESERVED_KEYS,
    SESSION_INDEX_KEYS,
    SESSION_KEYS,
    STATISTICS_KEYS,
    KeyPattern,
    make_scoped_pattern,
)
from continuum_upstash.observe import CommandDetails, Record, subscribe, unsubscribe
from continuum_upstash.plans.billing import count_billed_in_batch
from continuum_upstash.plans.command_table import COMMANDS, UNKNOWN, ReplyKind
from continuum_upstash.protocol import Argument, Command, Reply
from continuum_upstash.stats.conf import get_setting
from continuum_upstash.stats.key_families import NO_FAMILY
from continuum_upstash.stats.labels import LOCAL
from continuum_upstash.stats.shared.schema import is_overhead
from continuum_upstash.transports.registry import get_process_state

BATCHES: Final = "batches"  # the sampled round trips
OTHER: Final = "(other)"
UNKNOWN_PATH: Final = "(unknown code)"
PER_FAMILY: Final = ("reads", "hits", "sets", "read_bytes", "set_bytes", "timed", "seconds")
PER_PATH: Final = ("billed", "repeated_reads", "repeated_sets")
_MAX_NAMES: Final = 32  # families, and code paths, of one alias in a process
_MAX_STORED: Final = 32  # of each in the sum of a month
_MAX_LENGTH: Final = 80  # characters of a name
_MAX_COMMANDS: Final = 200  # of a batch that are examined
_MAX_FRAMES: Final = 120
_LOOP_SECONDS: Final = 1.0  # between two calls of a loop, at most
_RESERVED: Final[Mapping[str, str]] = {
    SESSION_KEYS: "(sessions)",
    SESSION_INDEX_KEYS: "(sessions)",
    RATELIMIT_KEYS: "(rate limits)",
    STATISTICS_KEYS: "(statistics)",
}
# Frames of these packages are not the code that uses the cache.
_LIBRARIES: Final = frozenset(
    {
        *{"continuum_upstash", "django", "rest_framework", "debug_toolbar"},
        *{"asyncio", "asgiref", "concurrent", "threading", "contextlib", "functools", "runpy"},
        *{"uvloop", "gevent", "greenlet", "sentry_sdk", "opentelemetry", "wrapt"},
    }
)


_HIDDEN: Final = KeyPattern("", "\0", "")  # matches no key, where a key function hides the keys


@dataclass(frozen=True, slots=True)
class _Call:
    """A single GET or SET, which the next one may repeat.

    Attributes:
        caller: thread and task.
        at: monotonic seconds.
    """

    alias: str
    name: str
    path: str
    caller: tuple[int, int]
    at: float


class Sampler:
    """The samples of one process."""

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._left = self._draw_gap()
        self._last: _Call | None = None
        self._lock = threading.RLock()  # re-entrant, like that of `Counters`
        self._counts: dict[str, Counter[str]] = {}
        self._patterns: dict[str, KeyPattern | None] = {}

    def observe(self, record: Record) -> None:
        if type(record) is not CommandDetails or record.backend == LOCAL:
            return
        if self._last is not None:
            self._count_repetition(record)
        self._left -= 1
        if self._left <= 0:
            self._left = self._draw_gap()
            if record.error is None and not is_overhead(record.commands):
                self._examine(record)

    def read(self, alias: str) -> dict[str, int]:
        """Return the counts of an alias since the process started."""
        with self._lock:
            return dict(self._counts.get(alias, {}))

    def clear_last_call(self) -> None:
        """Begin a request: its first call repeats none."""
        self._last = None

    def _draw_gap(self) -> int:
        """Return after how many round trips the next one is examined; SAMPLE on average."""
        return 1 + int(self._draw() * (2 * max(read_interval(), 1) - 1))

    def _examine(self, record: CommandDetails) -> None:
        path = find_code_path()
        with self._lock:
            counts = self._counts.setdefault(record.alias, Counter())
            counts[BATCHES] += 1
            path = _bound(counts, "billed", path)
            counts[f"billed {path}"] += count_billed_in_batch(record)
            pairs = zip(record.commands, record.replies, strict=False)
            for _, (command, reply) in zip(range(_MAX_COMMANDS), pairs, strict=False):
                self._count_command(counts, record.alias, command, reply)
        name = _get_single_name(record)
        if name and path != UNKNOWN_PATH:
            self._last = _Call(record.alias, name, path, _get_caller(), monotonic())

    def _count_repetition(self, record: CommandDetails) -> None:
        """Count whether a round trip is the next one of a loop."""
        last = self._last
        if last is None or _get_caller() != last.caller or is_overhead(record.commands):
            return
        self._last = None
        is_same = (record.alias, _get_single_name(record)) == (last.alias, last.name)
        if is_same and monotonic() - last.at < _LOOP_SECONDS and find_code_path() == last.path:
            measure = "repeated_reads" if last.name == "GET" else "repeated_sets"
            with self._lock:
                self._counts[last.alias][f"{measure} {last.path}"] += 1

    def _count_command(
        self, counts: Counter[str], alias: str, command: Command, reply: Reply
    ) -> None:
        name = str(command[0]).upper()
        kind = COMMANDS.get(name, UNKNOWN).reply
        if kind is ReplyKind.VALUE and len(command) > 1:
            replies = reply if isinstance(reply, list) and name == "MGET" else [reply]
            for key, value in zip(command[1:], replies, strict=False):
                family = self._bound_family(counts, alias, key)
                counts[f"reads {family}"] += 1
                if value is not None:
                    counts[f"hits {family}"] += 1
                    counts[f"read_bytes {family}"] += _get_size(value)
        elif kind is ReplyKind.STORED and len(command) > 2 and name == "SET":
            family = self._bound_family(counts, alias, command[1])
            counts[f"sets {family}"] += 1
            counts[f"set_bytes {family}"] += _get_size(command[2])
            if seconds := _find_lifetime(command):
                counts[f"timed {family}"] += 1
                counts[f"seconds {family}"] += seconds

    def _bound_family(self, counts: Counter[str], alias: str, key: Argument) -> str:
        family = self._find_family(alias, str(key))
        return family if f"sets {family}" in counts else _bound(counts, "reads", family)

    def _find_family(self, alias: str, full_key: str) -> str:
        if full_key.startswith(RESERVED_KEYS):
            return next((n for p, n in _RESERVED.items() if full_key.startswith(p)), OTHER)
        if alias not in self._patterns:
            self._patterns[alias] = _HIDDEN  # if the next line raises an error, then only once
            self._patterns[alias] = _make_pattern(alias)
        if (pattern := self._patterns[alias]) is not None:
            if not pattern.matches(full_key):
                return OTHER
            full_key = pattern.extract_key(full_key)
        family, colon, _ = full_key.partition(":")
        return (family + colon)[:_MAX_LENGTH] if colon else NO_FAMILY


def trim_samples(samples: Mapping[str, int]) -> dict[str, int]:
    """Return the counts of the most frequent families and code paths, and of all round trips."""
    frequent: Counter[str] = Counter()
    for name, count in samples.items():
        measure, _, subject = name.partition(" ")
        if measure in {"reads", "sets", "billed"}:
            frequent[f"{'billed' if measure == 'billed' else 'keys'} {subject}"] += count
    kept = set[str]()
    for kind in ("keys", "billed"):
        names = [each for each in frequent if each.startswith(f"{kind} ")]
        kept.update(sorted(names, key=lambda each: -frequent[each])[:_MAX_STORED])
    result = {}
    for name, count in samples.items():
        measure, _, subject = name.partition(" ")
        kind = "billed" if measure in PER_PATH else "keys"
        if f"{kind} {subject}" in kept or name == BATCHES:
            result[name] = count
    return result


def find_code_path() -> str:
    """Return the innermost function outside of libraries on the stack, with the view's name."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 the documented way
    path, view = "", ""
    for _ in range(_MAX_FRAMES):
        if frame is None:
            break
        module = str(frame.f_globals.get("__name__", ""))
        if not path and module.partition(".")[0] not in _LIBRARIES:
            path = f"{module}.{frame.f_code.co_qualname}"
        elif module == "django.core.handlers.base" and "request" in frame.f_code.co_varnames:
            match = getattr(frame.f_locals.get("request"), "resolver_match", None)
            view = getattr(match, "view_name", "") or ""
            if view:
                break
        frame = frame.f_back
    if not path:
        return UNKNOWN_PATH
    return (f"{path} in view {view}" if view else path)[:_MAX_LENGTH]


def read_interval() -> int:
    """Return of how many round trips one is examined; 0: none, also if SAMPLE is invalid."""
    interval = get_setting("SAMPLE")
    is_number = isinstance(interval, int) and not isinstance(interval, bool)
    return max(interval, 0) if is_number else 0  # check E006 reports an invalid value


def start() -> None:
    """Examine samples from now on, if SAMPLE says so."""
    stop()
    if read_interval():
        subscribe(observe)
        request_started.connect(_clear_last_call)


def stop() -> None:
    unsubscribe(observe)
    request_started.disconnect(_clear_last_call)


def observe(record: Record) -> None:
    """Examine a record; an observer, which the app subscribes."""
    get_process_state(Sampler).observe(record)


def _clear_last_call(**_: object) -> None:
    get_process_state(Sampler).clear_last_call()


def _bound(counts: Counter[str], measure: str, subject: str) -> str:
    """Return the subject, or OTHER if there are too many with this measure."""
    if f"{measure} {subject}" in counts:
        return subject
    known = sum(name.startswith(f"{measure} ") for name in counts)
    return subject if known < _MAX_NAMES else OTHER


def _make_pattern(alias: str) -> KeyPattern | None:
    """Return the pattern of an alias's keys; None: its keys are as a plain client sent them."""
    if alias not in settings.CACHES:
        return None
    cache = caches[alias]
    try:
        return make_scoped_pattern(cache.key_func, cache.key_prefix, cache.version, "*")
    except ConfigurationError:
        return _HIDDEN


def _get_single_name(record: CommandDetails) -> str:
    """Return GET or SET if that is the only command, else an empty string."""
    if len(record.commands) != 1:
        return ""
    name = str(record.commands[0][0]).upper()
    return name if name in {"GET", "SET"} else ""


def _get_caller() -> tuple[int, int]:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident(), id(task)


def _get_size(value: object) -> int:
    return len(value) if isinstance(value, (str, bytes)) else len(str(value))


def _find_lifetime(command: Command) -> int:
    """Return the seconds of EX or PX in a SET; 0: none."""
    for option, value in pairwise(command[3:]):
        if option in {"EX", "PX"} and str(value).isdecimal():
            return max(1, int(str(value)) // (1000 if option == "PX" else 1))
    return 0
