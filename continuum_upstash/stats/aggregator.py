"""Adds up the round trips of one backend of one alias, in well under a microsecond each.

What can be derived is computed by `totals`. For GET and SET, nearly all commands of a cache, only
the result and the sizes are recorded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

from continuum_upstash.errors import ReplyError
from continuum_upstash.observe import CommandDetails
from continuum_upstash.plans.billing import count_billed, count_billed_in_batch
from continuum_upstash.plans.command_table import COMMANDS, EVERY_OTHER, UNKNOWN, ReplyKind
from continuum_upstash.protocol import Argument, Command, Reply
from continuum_upstash.stats.labels import LOCAL, count_hits, is_failure, select_values
from continuum_upstash.stats.shared.schema import is_overhead
from continuum_upstash.stats.totals import BOUNDS, BUCKETS, Totals

_OVERHEAD_NAMES = frozenset({"HSET", "INCRBY"})  # the first commands of such writes


class Aggregator:
    """Running sums; `totals` returns them as Totals."""

    __slots__ = (
        "_billed",
        "_commands",
        "_errors",
        "_latency",
        "_local",
        "_seconds",
        "bytes_in",
        "bytes_out",
        "coalesced",
        "discarded",
        "hits",
        "misses",
        "near_hits",
        "near_saved",
        "overhead",
        "protected_reads",
        "sets",
    )

    def __init__(self, backend: str) -> None:
        self._local = backend == LOCAL
        self._latency = [0] * BUCKETS
        self._seconds = 0.0
        self._commands: defaultdict[str, int] = defaultdict(int)
        self._errors: defaultdict[str, int] = defaultdict(int)
        self._billed = 0  # what is billed beyond one per command; may be negative
        self.hits = self.misses = self.sets = 0
        self.bytes_in = self.bytes_out = 0
        self.coalesced = self.overhead = 0
        self.near_hits = self.near_saved = 0
        self.discarded: defaultdict[str, int] = defaultdict(int)
        self.protected_reads: defaultdict[str, int] = defaultdict(int)

    def record(self, details: CommandDetails) -> None:
        """Add one round trip.

        A write of the shared statistics or of a budget's counter adds only to `overhead`.
        """
        if details.commands[0][0] in _OVERHEAD_NAMES and is_overhead(details.commands):
            self.overhead += count_billed_in_batch(details)
            return
        self._latency[bisect_left(BOUNDS, details.seconds)] += 1
        self._seconds += details.seconds
        if details.error is not None:
            self._errors[type(details.error).__name__] += 1
            return
        counts = self._commands
        for command, reply in zip(details.commands, details.replies):  # noqa: B905 strict costs 0.1 µs
            name, kind = command[0], type(reply)
            counts[name] += 1  # type: ignore[index]  # a name is a str
            try:
                if name == "GET" and kind is bytes:
                    self.bytes_out += len(command[1])  # type: ignore[arg-type]  # a key is a str
                    self.bytes_in += len(reply)  # type: ignore[arg-type]  # checked by `kind`
                    self.hits += 1
                    continue
                if name == "GET" and reply is None:
                    self.bytes_out += len(command[1])  # type: ignore[arg-type]  # as above
                    self.misses += 1
                    continue
                if name == "SET" and kind is bytes:
                    self.bytes_out += len(command[1]) + len(command[2])  # type: ignore[arg-type]  # as above
                    self.sets += 1
                    continue
            except TypeError:
                pass  # a plain client may send numbers; testing each argument would cost 0.1 µs
            self._record_command(str(name).upper(), command, reply)

    def _record_command(self, name: str, command: Command, reply: Reply) -> None:
        self.bytes_out += sum(map(_get_length, command[1:]))
        self._billed += count_billed(name, command, reply) - 1
        if isinstance(reply, ReplyError):
            if is_failure(reply):
                self._errors[type(reply).__name__] += 1
            return
        spec = COMMANDS.get(name, UNKNOWN)
        if spec.reply is ReplyKind.VALUE:
            hits, misses = count_hits(name, select_values(command, reply))
            self.hits += hits
            self.misses += misses
        elif spec.reply is ReplyKind.STORED and reply is not None:
            self.sets += len(command[1:][spec.keys]) if spec.keys == EVERY_OTHER else 1
        if type(reply) is bytes or type(reply) is list:
            self.bytes_in += _get_size(reply)

    def totals(self) -> Totals:
        """Return the sums so far."""
        commands: dict[str, int] = {}
        for name, count in self._commands.items():
            commands[str(name).upper()] = commands.get(str(name).upper(), 0) + count
        return Totals(
            batches=sum(self._latency),
            commands=commands,
            hits=self.hits,
            misses=self.misses,
            near_hits=self.near_hits,
            near_saved=self.near_saved,
            sets=self.sets,
            errors=dict(self._errors),
            coalesced=self.coalesced,
            discarded=dict(self.discarded),
            protected_reads=dict(self.protected_reads),
            bytes_out=self.bytes_out,
            bytes_in=self.bytes_in,
            billed=0 if self._local else sum(commands.values()) + self._billed,
            overhead=self.overhead,
            seconds=self._seconds,
            latency=list(self._latency),
        )


def _get_length(argument: Argument) -> int:
    """Return the length of a key or a value in bytes; 0 for a script."""
    if isinstance(argument, (str, bytes)):
        return len(argument)
    return len(str(argument)) if isinstance(argument, int) else 0


def _get_size(reply: Reply) -> int:
    if isinstance(reply, bytes):
        return len(reply)
    return sum(map(_get_size, reply)) if isinstance(reply, list) else 0
