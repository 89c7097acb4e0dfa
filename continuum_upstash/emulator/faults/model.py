"""Faults that can be activated and removed while the emulator runs."""

import time
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from itertools import count
from random import uniform
from typing import Any, Final, Self

from continuum_upstash.emulator.emulator_options import InvalidOption


class FaultKind(StrEnum):
    REFUSE = "refuse"  # the port is closed, open connections are reset
    RESET = "reset"  # the request does not run, the connection is reset
    HANG = "hang"  # the request does not run, no response is sent
    LATENCY = "latency"
    THROTTLE = "throttle"  # commands beyond `rate` per second wait for their turn
    CLOSE = "close"  # the request runs, the connection is closed in the middle of the reply
    GARBAGE = "garbage"  # the request runs, the body does not match the headers
    HTTP = "http"  # the response is an HTML page of a gateway
    QUOTA = "quota"  # the month's commands are used up
    BUDGET = "budget"  # the month's budget is spent
    PLAN = "plan"  # a limit of a fixed pricing plan is reached, such as its bandwidth
    CAPACITY = "capacity"  # the database is full
    READONLY = "readonly"  # the database is being upgraded and rejects writes
    LAG = "lag"  # reads are served by a replica with replication lag


class Side(StrEnum):
    REST = "rest"
    TCP = "tcp"
    BOTH = "both"


TCP_KINDS: Final = frozenset(
    (
        FaultKind.REFUSE,
        FaultKind.RESET,
        FaultKind.HANG,
        FaultKind.LATENCY,
        FaultKind.THROTTLE,
        FaultKind.CLOSE,
        FaultKind.QUOTA,
        FaultKind.BUDGET,
        FaultKind.PLAN,
        FaultKind.CAPACITY,
        FaultKind.READONLY,
    )
)


@dataclass(frozen=True, slots=True)
class Fault:
    """
    Attributes:
        seconds, jitter, retry_after: seconds.
        rate: commands per second.
        times: the number of requests that fail (over TCP: writes of the client); None: all.
    """

    kind: FaultKind
    side: Side = Side.REST
    seconds: float = 0.0
    jitter: float = 0.0
    status: int = 502
    retry_after: int | None = None
    rate: float = 100.0
    times: int | None = None

    @classmethod
    def parse(cls, options: dict[str, Any]) -> Self:
        """Return the fault for options from JSON or from the command line.

        Raises:
            InvalidOption: an option is unknown or invalid; the message lists the known ones.
        """
        if unknown := options.keys() - {option.name for option in fields(cls)}:
            raise InvalidOption(
                f"unknown fault option {', '.join(sorted(unknown))}; "
                f"known options: {', '.join(option.name for option in fields(cls))}"
            )
        if (kind := options.get("kind")) not in list(FaultKind):
            raise InvalidOption(f"unknown fault {kind!r}; known faults: {', '.join(FaultKind)}")
        try:
            fault = cls(
                kind=FaultKind(kind),
                side=Side(options.get("side", Side.REST)),
                seconds=float(options.get("seconds", 0)),
                jitter=float(options.get("jitter", 0)),
                status=int(options.get("status", 502)),
                retry_after=_parse_int(options.get("retry_after")),
                rate=float(options.get("rate", 100)),
                times=_parse_int(options.get("times")),
            )
        except (TypeError, ValueError) as error:
            raise InvalidOption(f"fault {kind}: invalid option: {error}") from error
        if not fault.rate > 0:
            raise InvalidOption(f"fault {kind}: `rate` must be positive")
        if fault.side is not Side.REST and fault.kind not in TCP_KINDS:
            raise InvalidOption(f"fault {fault.kind} is available on the REST side only")
        if fault.kind in {FaultKind.REFUSE, FaultKind.LAG} and fault.times is not None:
            raise InvalidOption(
                f"fault {fault.kind} does not accept `times`: it stays active until it is removed"
            )
        return fault

    @property
    def delay(self) -> float:
        """Seconds to wait: another random value at each access."""
        return max(0.0, self.seconds + uniform(-self.jitter, self.jitter))  # noqa: S311 - no secret


def _parse_int(value: Any) -> int | None:
    return None if value is None else int(value)


@dataclass(slots=True)
class _ActiveFault:
    """`next_turn`: when a throttled command may run, in seconds of the monotonic clock."""

    fault: Fault
    left: int | None
    next_turn: float = 0.0


@dataclass(slots=True)
class Faults:
    _active: dict[int, _ActiveFault] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def add(self, fault: Fault) -> int:
        number = next(self._numbers)
        self._active[number] = _ActiveFault(fault, fault.times)
        return number

    def remove(self, number: int) -> None:
        self._active.pop(number, None)

    def clear(self) -> None:
        self._active.clear()

    def as_dict(self) -> dict[int, dict[str, Any]]:
        return {
            number: asdict(active.fault) | {"left": active.left}
            for number, active in self._active.items()
        }

    def is_active(self, kind: FaultKind, side: Side) -> bool:
        return self._find(kind, side) is not None

    def consume(self, kind: FaultKind, side: Side) -> Fault | None:
        """Return the active fault of this kind, and count one request for it."""
        if not self._active or (active := self._find(kind, side)) is None:
            return None
        if active.left is not None:
            active.left -= 1
        return active.fault

    def compute_wait(self, side: Side, commands: int) -> float:
        """Return how long these commands of a request wait, in seconds, and count them.

        Requests wait for one another: all clients share the rate.
        """
        if not self._active or (active := self._find(FaultKind.THROTTLE, side)) is None:
            return 0.0
        self.consume(FaultKind.THROTTLE, side)
        now = time.monotonic()
        active.next_turn = max(now, active.next_turn) + commands / active.fault.rate
        return active.next_turn - now

    def _find(self, kind: FaultKind, side: Side) -> _ActiveFault | None:
        for active in self._active.values():
            fault = active.fault
            if fault.kind is kind and fault.side in {side, Side.BOTH} and active.left != 0:
                return active
        return None
