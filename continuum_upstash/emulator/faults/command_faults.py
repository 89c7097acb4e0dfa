"""Applies the faults that are errors of commands."""

from typing import Final

from continuum_upstash.emulator.commands import error_messages
from continuum_upstash.emulator.commands.engine import Engine
from continuum_upstash.emulator.faults.model import FaultKind, Faults, Side
from continuum_upstash.emulator.redis.resp2_wire import Argv, Error

_MONTHLY_LIMIT: Final = 500_000  # commands, on the free pricing plan


class CommandFaults:
    """Finds the errors that faults cause for the commands of one request (over TCP: of one write).

    A fault with a limited number of requests counts a request once, whatever its commands.
    """

    def __init__(self, faults: Faults, engine: Engine, side: Side) -> None:
        self._faults = faults
        self._specs = engine.specs
        self._limits = engine.limits
        self._side = side
        self._active: dict[FaultKind, bool] = {}

    def find_error(self, argv: Argv) -> Error | None:
        if self._is_active(FaultKind.QUOTA):
            return error_messages.quota_reached(_MONTHLY_LIMIT, _MONTHLY_LIMIT)
        if self._is_active(FaultKind.BUDGET):
            return error_messages.BUDGET_SPENT
        if self._is_active(FaultKind.PLAN):
            return error_messages.PLAN_LIMIT_REACHED
        if self._is_denied_when_full(argv) and self._is_active(FaultKind.CAPACITY):
            return error_messages.capacity_reached(self._limits.data_size, self._limits.data_size)
        if self._specs.is_write(argv) and self._is_active(FaultKind.READONLY):
            return error_messages.READ_ONLY_UPGRADE
        return None

    def _is_denied_when_full(self, argv: Argv) -> bool:
        is_refused_getex = self._limits.refuse_getex and argv[0].lower() == b"getex"
        return is_refused_getex or self._specs.is_denied_on_oom(argv)

    def _is_active(self, kind: FaultKind) -> bool:
        if kind not in self._active:
            self._active[kind] = self._faults.consume(kind, self._side) is not None
        return self._active[kind]
