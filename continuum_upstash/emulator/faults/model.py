"""Faults that can be switched on and off while the emulator runs."""

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from itertools import count
from random import uniform
from typing import Any, Final, Self

from continuum_upstash.emulator.options import BadOption


class FaultKind(StrEnum):
    REFUSE = "refuse"  # the port is closed, open connections are reset
    RESET = "reset"  # the request is not run, the connection is reset
    HANG = "hang"  # the request is not run and never answered
    LATENCY = "latency"
    CLOSE = "close"  # the request is run, the connection ends in the middle of the reply
    GARBAGE = "garbage"  # the request is run, the reply is not what the headers promise
    HTTP = "http"  # a gateway answers in the service's place
    QUOTA = "quota"  # the month's commands are used up
    CAPACITY = "capacity"  # the database is full
    READONLY = "readonly"  # writes are refused during an upgrade
    LAG = "lag"  # reads come from a replica that is behind


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
        FaultKind.CLOSE,
    )
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `seconds`, `jitter`, `retry_after` in seconds; `times` is how many requests
    (over TCP: writes of the client) it strikes, None for all.
    """

    kind: FaultKind
    side: Side = Side.REST
    seconds: float = 0.0
    jitter: float = 0.0
    status: int = 502
    retry_after: int | None = None
    times: int | None = None

    @classmethod
    def read(cls, options: dict[str, Any]) -> Self:
        """From JSON or the command line. Raises BadOption with the names that exist."""
        if unknown := options.keys() - {option.name for option in fields(cls)}:
            raise BadOption(
                f"a fault has no option {', '.join(sorted(unknown))}; "
                f"it has {', '.join(option.name for option in fields(cls))}"
            )
        if (kind := options.get("kind")) not in list(FaultKind):
            raise BadOption(f"there is no fault {kind!r}; there is {', '.join(FaultKind)}")
        try:
            fault = cls(
                kind=FaultKind(kind),
                side=Side(options.get("side", Side.REST)),
                seconds=float(options.get("seconds", 0)),
                jitter=float(options.get("jitter", 0)),
                status=int(options.get("status", 502)),
                retry_after=_whole(options.get("retry_after")),
                times=_whole(options.get("times")),
            )
        except (TypeError, ValueError) as error:
            raise BadOption(f"the fault {kind} is not well formed: {error}") from error
        if fault.side is not Side.REST and fault.kind not in TCP_KINDS:
            raise BadOption(f"{fault.kind} is a fault of the REST side only")
        if fault.kind in {FaultKind.REFUSE, FaultKind.LAG} and fault.times is not None:
            raise BadOption(f"{fault.kind} has no count of requests: switch it off when done")
        return fault

    @property
    def delay(self) -> float:
        """Seconds to wait this time."""
        return max(0.0, self.seconds + uniform(-self.jitter, self.jitter))  # noqa: S311 - no secret


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


@dataclass(slots=True)
class _Active:
    fault: Fault
    left: int | None


@dataclass(slots=True)
class Faults:
    _active: dict[int, _Active] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def add(self, fault: Fault) -> int:
        number = next(self._numbers)
        self._active[number] = _Active(fault, fault.times)
        return number

    def remove(self, number: int) -> None:
        self._active.pop(number, None)

    def clear(self) -> None:
        self._active.clear()

    def listed(self) -> dict[int, dict[str, Any]]:
        return {
            number: asdict(active.fault) | {"left": active.left}
            for number, active in self._active.items()
        }

    def has(self, kind: FaultKind, side: Side) -> bool:
        return self._find(kind, side) is not None

    def take(self, kind: FaultKind, side: Side) -> Fault | None:
        """The active fault of this kind, counted as having struck once."""
        if not self._active or (active := self._find(kind, side)) is None:
            return None
        if active.left is not None:
            active.left -= 1
        return active.fault

    def _find(self, kind: FaultKind, side: Side) -> _Active | None:
        for active in self._active.values():
            fault = active.fault
            if fault.kind is kind and fault.side in {side, Side.BOTH} and active.left != 0:
                return active
        return None
