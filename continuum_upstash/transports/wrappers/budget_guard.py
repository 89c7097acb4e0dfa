"""Keeps the billed commands of a database within its budget of the month, OPTIONS["BUDGET"].

All processes share one counter in the database for each month (`make_budget_key`). A process adds
to it what it is going to send, in *reservations* by INCRBY, and sends no more than it has reserved.
A reservation is 1/400 of the budget, and smaller near a threshold. If the database cannot be
reached, what is reserved can still be sent, and nothing else.

What is left of a reservation when a process ends would be lost: with many short processes, the
counter would be too high. A process therefore begins with a credit that it does not add to the
counter, a random part of a reservation. On average, both are equal. The credit is paid back in
proportion as the reservations become smaller, so that the counter is exact near the limit. The
process whose reservation completes a twentieth of the budget compares the counter with the shared
statistics, and adds what it lacks.

The stage of the budget depends on the counter as this process read it last:

    within, warn   everything is sent
    near           new copies in the near cache are kept longer
    essential      only batches that need the server are sent: sessions, rate limits, locks
    local          nothing is sent

The local store serves what is not sent, as in an outage.
"""

from __future__ import annotations

import math
import random
import threading
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from continuum_upstash.config.budget import Budget, read_amount
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import (
    BudgetExceeded,
    ConfigurationError,
    ReplyError,
    Unavailable,
)
from continuum_upstash.keys import SESSION_INDEX_KEYS, SESSION_KEYS
from continuum_upstash.observe import (
    BUDGET_STAGES,
    RESTRICTED_STAGES,
    BudgetStatus,
    log_once_a_minute,
    logger,
)
from continuum_upstash.plans.billing import count_sent
from continuum_upstash.plans.command_table import SCRIPT_KEYS, get_spec
from continuum_upstash.plans.effects import Batch, Plan, Sleep
from continuum_upstash.protocol import Command, Reply
from continuum_upstash.transports.local.transport import read_wall_clock
from continuum_upstash.transports.network_errors import deadline_exceeded
from continuum_upstash.transports.wrappers.budget_month import (
    KEPT_SECONDS,
    BudgetSource,
    find_month,
)

_LARGEST: Final = 400  # a reservation is at most this part of the budget,
_NEAR_THRESHOLD: Final = 12  # at most this part of what is left until the next threshold,
_SMALLEST: Final = 50_000  # and at least this part of the budget
# The counter is compared with the statistics after each such part of the budget, but not after
# fewer commands: a comparison costs about five.
_STEPS: Final = 20
_MIN_STEP: Final = 5_000
# Between two looks at another caller's reservation: the pause doubles, since hundreds of tasks may
# wait for seconds in an outage.
_WAIT_SECONDS: Final = 0.001
_MAX_WAIT_SECONDS: Final = 0.064
_RECHECK_SECONDS: Final = 1.0  # between two calls of a function that returns the budget


class _Reservation(NamedTuple):
    """Commands that a process adds to the counter before it sends them.

    Attributes:
        key: the counter.
        credit: commands that may be sent when it is granted.
        size: of reservations at this time.
        paid_back: the part of the first credit that is added to the counter.
        price: of the reservation itself.
        amount: what is added to the counter.
    """

    key: str
    credit: int
    size: int
    paid_back: int
    price: int

    @property
    def amount(self) -> int:
        return self.credit + self.paid_back + self.price


class BudgetGuard:
    """The budget of one database, for all threads and event loops of a process.

    A forked child process has a guard of its own.

    Args:
        config: with a budget.
        find_source: returns the source of the month's count, or None without statistics.
        on_change: called after each change of the stage, with the old and the new one.
        clock: Unix seconds: a wall clock, since the budget is that of a calendar month, and a
            process may be frozen between requests.
        rng: returns a number from 0 to 1.

    Attributes:
        stage: one of `BUDGET_STAGES`.
        reason: why the stage is this one.
        regions: in which writes are billed once more.
        is_restricted: whether the local store serves what does not need the server.
    """

    def __init__(
        self,
        config: Config,
        find_source: Callable[[], BudgetSource | None] = lambda: None,
        on_change: Callable[[str, str], None] = lambda _old, _new: None,
        clock: Callable[[], float] = read_wall_clock,
        rng: Callable[[], float] = random.random,
    ) -> None:
        assert config.budget is not None
        self.budget: Budget = config.budget
        self._config = config
        self._find_source, self._on_change = find_source, on_change
        self._clock, self._rng = clock, rng
        self._lock = threading.RLock()  # reentrant: a signal handler may use the cache
        self.stage, self.reason = BUDGET_STAGES[0], "no command has been sent yet"
        self.is_restricted, self.regions = False, 0
        self._limit = 0
        self._thresholds: tuple[int, ...] = ()
        self._key, self._month_end, self._checked_until = "", 0.0, 0.0
        self._reserving_since = -math.inf
        self._start_month()

    def _start_month(self) -> None:
        # What decides the stage: the counter and, after the budget was lowered, what was sent on
        # credit. None: the counter was not read yet.
        self._total: int | None = None
        self._counter = 0  # as it was read last
        self._left = self._debt = self._size = 0
        self._must_compare = False  # whether the counter is to be compared with the statistics

    @property
    def status(self) -> BudgetStatus | None:
        """How much of the budget is used; None: no command has been sent this month."""
        if self._total is not None:
            self.refresh()
        with self._lock:
            if self._total is None:
                return None
            used = self._counter - self._left + self._debt
            reason = _describe_use(used, self._limit)
            return BudgetStatus(self.stage, used, self._limit, reason, self._month_end)

    def refresh(self) -> None:
        """Begin a new month if it is time, and read the budget again if a function returns it."""
        now = self._clock()
        if now < self._checked_until:
            return
        with self._lock:
            if now >= self._month_end:
                self._key, self._month_end = find_month(now)
                self._start_month()
            source = self._find_source()
            self.regions = 0 if source is None else source.count_regions(self._config.alias)
            old, budget = self._limit, self.budget
            self._limit = self._read_limit(source)
            if self._limit < old and self._total is not None:
                # What is reserved is too much now. What was sent on credit counts at once.
                self._debt = max(self._debt - self._left, 0)
                self._left = min(self._left, 0)
                self._total = max(self._total, self._counter + self._debt)
            parts = (budget.soft, budget.near, budget.essential, budget.hard)
            self._thresholds = tuple(round(part * self._limit) for part in parts)
            is_fixed = not callable(budget.amount)
            self._checked_until = (
                self._month_end if is_fixed else min(self._month_end, now + _RECHECK_SECONDS)
            )
        self._update_stage()

    def take(self, price: int, *, needs_server: bool) -> bool:
        """Take commands from what is reserved; return whether there were enough."""
        with self._lock:
            if (
                price > self._left
                or (self.is_restricted and not needs_server)
                or self._clock() >= self._checked_until
            ):
                return False
            self._left -= price
            return True

    def settle(self, estimate: int, billed: int) -> None:
        """Correct what was taken for a batch, when its replies tell what is billed."""
        with self._lock:
            self._left += estimate - billed

    def reserve(self, batch: Batch, price: int) -> Plan[None]:
        """Take commands for a batch after reserving them.

        Billed: one command for each reservation.

        Raises:
            BudgetExceeded: the batch must not be sent.
            ConfigurationError: the budget is in dollars, and the pricing plan has no price for a
                command.
            Unavailable, Refused: there was no reply to the reservation.
        """
        self.refresh()
        is_taken, started, seconds = False, self._clock(), batch.deadline_s
        pause = _WAIT_SECONDS
        while not is_taken:
            if self._must_compare and seconds is None:
                yield from self._compare_with_statistics()
            if self._may_exceed(batch):
                with self._lock:
                    self._left -= price
                    if self._left > -(self._limit // _LARGEST):
                        return
                price = 0
            elif self.take(price, needs_server=batch.needs_server):
                return
            else:
                self._raise_if_refused(batch, price)
            if self._claim_reservation():
                is_taken = yield from self._extend(price, seconds)
            elif seconds is not None and self._clock() - started >= seconds:
                raise deadline_exceeded(self._config.label, seconds)
            else:
                yield Sleep(pause)
                pause = min(2 * pause, _MAX_WAIT_SECONDS)

    def _claim_reservation(self) -> bool:
        """Return whether this caller makes the next reservation, for which the others wait."""
        with self._lock:
            now = self._clock()
            if self._reserving_since <= now < self._reserving_since + self._config.read_timeout:
                return False
            self._reserving_since = now
            return True

    def _extend(self, price: int, deadline_s: float | None) -> Plan[bool]:
        """Make a reservation; return whether a batch's price could be taken from it."""
        with self._lock:
            wanted = self._plan_reservation(price)
            self._debt -= wanted.paid_back
        try:
            command = ("INCRBY", wanted.key, wanted.amount)
            (reply,) = yield Batch((command,), deadline_s=deadline_s)
            is_taken = self._accept(wanted, reply, price)
        except BaseException:
            with self._lock:
                self._debt += wanted.paid_back
            raise
        finally:
            self._reserving_since = -math.inf
        self._update_stage()
        return is_taken

    def _plan_reservation(self, price: int) -> _Reservation:
        if self._total is None:  # nothing is known of the month
            return _Reservation(self._key, 0, 0, 0, 1 + self.regions)
        limit = self._thresholds[-1]
        boundary = next((each for each in self._thresholds[2:] if self._total < each), limit)
        size = min(self._limit // _LARGEST, (boundary - self._total) // _NEAR_THRESHOLD)
        size = max(size, self._limit // _SMALLEST, 1)
        kept = self._debt * size // self._size if size < self._size else self._debt
        credit = max(size, price - min(self._left, 0))
        return _Reservation(self._key, credit, size, self._debt - kept, 1 + self.regions)

    def _accept(self, wanted: _Reservation, reply: Reply, price: int) -> bool:
        """Add the credit of a reservation, as far as the budget permits it, and take the price."""
        if isinstance(reply, ReplyError):
            reason = f"the budget's counter cannot be written, each process counts alone: {reply}"
            log_once_a_minute(self._config.alias, reason)
        elif not isinstance(reply, int):
            raise Unavailable(
                f"{self._config.label}: unexpected reply: INCRBY returned a {type(reply).__name__}."
            )
        with self._lock:
            if wanted.key != self._key:
                return False  # a new month has begun meanwhile
            known = self._total
            total = reply if isinstance(reply, int) else (known or 0) + wanted.amount
            if isinstance(reply, int) and self._is_first_beyond_step(reply, wanted.amount):
                self._must_compare = True
            self._total = max(known or 0, total)
            counter = reply if isinstance(reply, int) else self._counter + wanted.amount
            self._counter = max(self._counter, counter)
            if known is None:
                self._begin_with_credit()
                return False
            allowed = min(wanted.credit, self._thresholds[-1] - total + wanted.credit)
            self._left += max(allowed, -self._left, 0)  # what was sent already is paid for now
            self._size = wanted.size or self._size
            if price > self._left:
                return False
            self._left -= price
            return True

    def _begin_with_credit(self) -> None:
        self._size = self._plan_reservation(0).size
        if self._total is not None and self._total < self._thresholds[-1]:
            self._left = self._debt = int(self._rng() * self._size)

    def _is_first_beyond_step(self, total: int, amount: int) -> bool:
        """Return whether a reservation created the counter, or added another step to it."""
        step = max(self._limit // _STEPS, _MIN_STEP)
        return total == amount or total // step > (total - amount) // step

    def _compare_with_statistics(self) -> Plan[None]:
        """Add to the counter what only the statistics have counted.

        That is what was sent before there was a counter, and what aliases without a budget send.
        If the counter was lost, this process adds what it knows.
        """
        with self._lock:
            is_due, self._must_compare, key = self._must_compare, False, self._key
        if not is_due:
            return
        price = 1 + self.regions
        try:
            month, spent = yield from count_sent(self._count_month())
            # The counter is read after the statistics: it contains all that they have counted.
            known = self._total or 0
            counter = yield from self._add(key, spent + 2 * price, ("EXPIRE", key, KEPT_SECONDS))
            missing = max(known, month) - counter
            if counter and missing > 0:
                yield from self._add(key, missing + price)
        except BaseException:
            self._must_compare = True
            raise
        self._update_stage()

    def _add(self, key: str, count: int, *commands: Command) -> Plan[int]:
        """Add to the counter, and return it; 0: it cannot be written."""
        reply, *_ = yield Batch((("INCRBY", key, count), *commands))
        if not isinstance(reply, int):
            return 0
        with self._lock:
            if key == self._key:
                self._total = max(self._total or 0, reply)
                self._counter = max(self._counter, reply)
        return reply

    def _count_month(self) -> Plan[int]:
        source = self._find_source()
        if source is None:
            return 0
        try:
            return (yield from source.count_month(self._config.alias))
        except (ReplyError, ConfigurationError) as error:
            reason = f"the commands of this month are unknown, the budget begins now: {error}"
            log_once_a_minute(self._config.alias, reason)
            return 0

    def _may_exceed(self, batch: Batch) -> bool:
        """Return whether a batch is sent although the budget is used up."""
        return (
            self.budget.sessions == "continue"
            and self._total is not None
            and self._total >= self._thresholds[-1]
            and _is_of_sessions(batch)
        )

    def find_refusal(self, batch: Batch) -> BudgetExceeded | None:
        """Return why a batch is not sent at this stage, whatever is reserved; None: it may be."""
        self.refresh()
        if not self.is_restricted or batch.needs_server or self._may_exceed(batch):
            return None
        return self._make_error()

    def _raise_if_refused(self, batch: Batch, price: int) -> None:
        if self._total is None:
            return
        error = self.find_refusal(batch)
        rest = self._thresholds[-1] - self._total + self._left
        if error is None and price > rest:
            error = self._make_error()
        if error is not None:
            raise error

    def _make_error(self) -> BudgetExceeded:
        end = datetime.fromtimestamp(self._month_end, UTC)
        return BudgetExceeded(
            f"{self._config.label}: command not sent: {self.reason}. Raise OPTIONS['BUDGET'], or "
            f"wait for the new month on {end:%d %B %Y}, 00:00 UTC."
        )

    def _update_stage(self) -> None:
        with self._lock:
            total = self._total or 0
            old, new = self.stage, BUDGET_STAGES[bisect_right(self._thresholds, total)]
            if old == new:
                return
            self.stage, self.is_restricted = new, new in RESTRICTED_STAGES
            self.reason = _describe_use(total, self._limit)
        self._on_change(old, new)

    def _read_limit(self, source: BudgetSource | None) -> int:
        try:
            return self._count_commands(read_amount(self.budget), source)
        except Exception as error:  # a user's function may raise anything
            if not self._limit:
                raise
            reason = f"the function in BUDGET failed, the last budget stays: {error}"
            logger.warning("%s: %s", self._config.label, reason)
            return self._limit

    def _count_commands(self, amount: float, source: BudgetSource | None) -> int:
        if self.budget.unit == "commands":
            return max(int(amount), 1)
        if source is None:
            raise ConfigurationError(
                f"{self._config.label}: BUDGET['DOLLARS'] requires 'continuum_upstash' in "
                "INSTALLED_APPS, which knows the prices. Without it, use BUDGET['COMMANDS']."
            )
        return source.count_commands(self._config.alias, amount)


def _describe_use(count: int, limit: int) -> str:
    return f"{count / limit * 100:.0f} % of the month's budget of {limit:,} commands used"


def _is_of_sessions(batch: Batch) -> bool:
    return any(
        isinstance(key, str) and key.startswith((SESSION_KEYS, SESSION_INDEX_KEYS))
        for command in batch.commands
        for key in (command[3:4] if get_spec(command).keys is SCRIPT_KEYS else command[1:2])
    )
