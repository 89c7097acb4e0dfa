"""Counts the round trips of one backend of one alias, in well under a microsecond each.

What can be derived is derived when somebody reads: of GET and SET, nearly all there is, only the
outcome and the sizes are noted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from continuum_upstash.errors import ReplyError
from continuum_upstash.observe import CommandDetails
from continuum_upstash.plans.command_table import COMMANDS, FIRST, ReplyKind
from continuum_upstash.protocol import Argument, Command, Reply
from continuum_upstash.stats.billing import billed, count_billed
from continuum_upstash.stats.labels import failed
from continuum_upstash.stats.shared.schema import is_write
from continuum_upstash.stats.totals import BOUNDS, BUCKETS, Tally

_LOCAL: Final = "local"


class Meter:
    """The running sums from which `tally` makes a Tally."""

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
        "hits",
        "misses",
        "overhead",
        "sets",
    )

    def __init__(self, backend: str) -> None:
        self._local = backend == _LOCAL
        self._latency = [0] * BUCKETS
        self._seconds = 0.0
        self._commands: defaultdict[str, int] = defaultdict(int)
        self._errors: defaultdict[str, int] = defaultdict(int)
        self._billed = 0  # more or less than one for each command
        self.hits = self.misses = self.sets = 0
        self.bytes_in = self.bytes_out = 0
        self.coalesced = self.overhead = 0

    def note(self, details: CommandDetails) -> None:
        """Add one round trip; of one that stores shared statistics only what it is billed."""
        if is_write(details.commands):
            self.overhead += count_billed(details)
            return
        self._latency[bisect_left(BOUNDS, details.seconds)] += 1
        self._seconds += details.seconds
        if details.error is not None:
            self._errors[type(details.error).__name__] += 1
            return
        counts = self._commands
        for command, reply in zip(details.commands, details.replies):  # noqa: B905 strict costs 0.1 µs
            name, kind = command[0], type(reply)
            counts[name] += 1  # type: ignore[index]  # a name is text
            try:
                if name == "GET" and kind is bytes:
                    self.bytes_out += len(command[1])  # type: ignore[arg-type]  # a key is text
                    self.bytes_in += len(reply)  # type: ignore[arg-type]  # by kind
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
                pass  # a plain client sends numbers, too; to ask each time would cost 0.1 µs
            self._note(str(name).upper(), command, reply)

    def _note(self, name: str, command: Command, reply: Reply) -> None:
        self.bytes_out += sum(map(_length, command[1:]))
        self._billed += billed(name, command, reply) - 1
        if isinstance(reply, ReplyError):
            if failed(reply):
                self._errors[type(reply).__name__] += 1
            return
        if (outcome := _OUTCOMES.get(name)) is not None:
            outcome(self, command, reply)
        if type(reply) is bytes or type(reply) is list:
            self.bytes_in += _size(reply)

    def tally(self) -> Tally:
        """Return the sums so far."""
        commands: dict[str, int] = {}
        for name, count in self._commands.items():
            commands[str(name).upper()] = commands.get(str(name).upper(), 0) + count
        return Tally(
            batches=sum(self._latency),
            commands=commands,
            hits=self.hits,
            misses=self.misses,
            sets=self.sets,
            errors=dict(self._errors),
            coalesced=self.coalesced,
            bytes_out=self.bytes_out,
            bytes_in=self.bytes_in,
            billed=0 if self._local else sum(commands.values()) + self._billed,
            overhead=self.overhead,
            seconds=self._seconds,
            latency=list(self._latency),
        )


_Outcome: TypeAlias = Callable[[Meter, Command, Reply], None]


def _read(meter: Meter, _: Command, reply: Reply) -> None:
    if reply is None:
        meter.misses += 1
    else:
        meter.hits += 1


def _read_many(meter: Meter, _: Command, reply: Reply) -> None:
    assert isinstance(reply, list)
    missing = reply.count(None)
    meter.misses += missing
    meter.hits += len(reply) - missing


def _write(meter: Meter, _: Command, reply: Reply) -> None:
    meter.sets += reply is not None


def _write_many(meter: Meter, command: Command, _: Reply) -> None:
    meter.sets += len(command) // 2


# By what the reply means, and whether the command names several keys.
_BY_REPLY: Final[Mapping[tuple[ReplyKind | None, bool], _Outcome]] = {
    (ReplyKind.VALUE, False): _read,
    (ReplyKind.VALUE, True): _read_many,
    (ReplyKind.STORED, False): _write,
    (ReplyKind.STORED, True): _write_many,
}
_OUTCOMES: Final[Mapping[str, _Outcome]] = {
    name: _BY_REPLY[spec.reply, spec.keys is not FIRST]
    for name, spec in COMMANDS.items()
    if spec.reply in {ReplyKind.VALUE, ReplyKind.STORED}
}


def _length(argument: Argument) -> int:
    """Return the bytes of a key or a value; a script is neither."""
    if isinstance(argument, (str, bytes)):
        return len(argument)
    return len(str(argument)) if isinstance(argument, int) else 0


def _size(reply: Reply) -> int:
    if isinstance(reply, bytes):
        return len(reply)
    return sum(map(_size, reply)) if isinstance(reply, list) else 0
