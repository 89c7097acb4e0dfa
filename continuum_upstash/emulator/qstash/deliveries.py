"""Sends messages when they are due, retries them with back-off, and collects dead letters."""

import asyncio
import hashlib
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import httpx

from continuum_upstash.emulator.qstash.expressions import evaluate_retry_delay
from continuum_upstash.emulator.qstash.messages import (
    DeadLetter,
    Message,
    Schedule,
    Template,
    make_id,
)
from continuum_upstash.emulator.qstash.signing import SigningKeys

_MAX_BACKOFF: Final = 86_400.0  # seconds
_DEDUPLICATION_WINDOW: Final = 600.0  # seconds
_NOT_RETRYABLE: Final = 489
_MAX_SHOWN_BODY: Final = 64 * 1024  # bytes of a response that a dead letter keeps
_DELIVERIES_AT_ONCE: Final = 50


class Clock:
    """Unix seconds; `advance` moves them forwards."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


class Deliveries:
    """The messages, schedules and dead letters of one QStash, and the loop that sends messages."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.keys = SigningKeys()
        self.messages: dict[str, Message] = {}
        self.schedules: dict[str, Schedule] = {}
        self.dead_letters: dict[str, DeadLetter] = {}
        self._deduplication: dict[str, tuple[float, str]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        limits = httpx.Limits(max_connections=_DELIVERIES_AT_ONCE)
        self._client = httpx.AsyncClient(limits=limits, trust_env=False)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
        self._cancel_running()
        await self._client.aclose()

    def reset(self) -> None:
        """Forget everything, and restore the test keys and the time."""
        self._cancel_running()
        for each in (self.messages, self.schedules, self.dead_letters, self._deduplication):
            each.clear()
        self.keys = SigningKeys()
        self.clock = Clock()

    def advance(self, seconds: float) -> None:
        """Move the clock forwards, so that messages and schedules become due.

        Raises:
            ValueError: the number is negative or not finite.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError("the clock only advances: pass seconds of at least 0")
        self.clock.advance(seconds)
        self._changed.set()

    def publish(self, template: Template, deduplication_id: str = "") -> tuple[str, bool]:
        """Accept a message; return its id, and whether it is a duplicate that is not sent."""
        now = self.clock.now()
        if deduplication_id:
            since, message_id = self._deduplication.get(deduplication_id, (-math.inf, ""))
            if now - since < _DEDUPLICATION_WINDOW:
                return message_id, True
        message = Message(make_id("msg"), template, now, now + template.delay)
        if deduplication_id:
            self._deduplication[deduplication_id] = (now, message.id)
        self.add(message)
        return message.id, False

    def add(self, message: Message) -> None:
        self.messages[message.id] = message
        self._changed.set()

    def cancel(self, message_id: str) -> bool:
        return self.messages.pop(message_id, None) is not None

    def add_schedule(self, schedule: Schedule) -> None:
        self.schedules[schedule.id] = schedule
        self._changed.set()

    def retry_dead_letter(self, dead_letter: DeadLetter) -> str:
        """Send a dead letter again, as a new message; return the message's id."""
        del self.dead_letters[dead_letter.id]
        now = self.clock.now()
        message = Message(make_id("msg"), dead_letter.message.template, now, now)
        self.add(message)
        return message.id

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            now = self.clock.now()
            self._send_schedules(now)
            for message in tuple(self.messages.values()):
                if message.due <= now and message.id not in self._running:
                    self._start_delivery(message)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._compute_wait(now))

    def _compute_wait(self, now: float) -> float | None:
        due = [each.due for each in self.messages.values() if each.id not in self._running]
        due += [each.due for each in self.schedules.values() if not each.is_paused]
        return max(0.0, min(due) - now) if due else None

    def _send_schedules(self, now: float) -> None:
        for schedule in self.schedules.values():
            while schedule.due <= now:
                if not schedule.is_paused:
                    due = schedule.due + schedule.template.delay
                    self.add(Message(make_id("msg"), schedule.template, now, due, schedule.id))
                schedule.due = schedule.cron.compute_next(schedule.due)

    def _start_delivery(self, message: Message) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(message))
        self._running[message.id] = task
        task.add_done_callback(lambda _: self._running.pop(message.id, None))

    def _cancel_running(self) -> None:
        for task in tuple(self._running.values()):
            task.cancel()

    async def _deliver(self, message: Message) -> None:
        template = message.template
        headers = {
            **dict(template.headers),
            "Upstash-Signature": self.keys.sign(template.url, template.body),
            "Upstash-Message-Id": message.id,
            "Upstash-Retried": str(message.retried),
            "Upstash-Caller-Ip": template.caller_ip,
            "Upstash-Region": "emulator",
            "User-Agent": "Upstash-QStash",
        }
        if message.schedule_id:
            headers["Upstash-Schedule-Id"] = message.schedule_id
        try:
            response = await self._client.request(
                template.method,
                template.url,
                headers=headers,
                content=template.body,
                timeout=template.timeout,
            )
        except httpx.HTTPError as error:
            self._fail(message, 0, {}, str(error).encode())
        else:
            if response.is_success:
                self.messages.pop(message.id, None)
            else:
                self._fail(message, response.status_code, response.headers, response.content)
        finally:
            self._running.pop(message.id, None)
            self._changed.set()

    def _fail(self, message: Message, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if message.id not in self.messages:
            return  # cancelled meanwhile
        stops = status == _NOT_RETRYABLE and (
            headers.get("upstash-nonretryable-error", "").lower() == "true"
        )
        if message.retried < message.template.retries and not stops:
            delay = _compute_backoff(message, headers, self.clock.now())
            message.retried += 1
            message.due = self.clock.now() + delay
            return
        del self.messages[message.id]
        letter = DeadLetter(make_id("dlq"), message, status, headers, body[:_MAX_SHOWN_BODY])
        self.dead_letters[letter.id] = letter
        if callback := letter.make_failure_callback(self.clock.now()):
            self.add(callback)


def _compute_backoff(message: Message, headers: Mapping[str, str], now: float) -> float:
    """Return the seconds until the next delivery."""
    requested = headers.get("retry-after", "")
    if requested.isdecimal():
        return min(_MAX_BACKOFF, float(requested))
    reset = headers.get("x-ratelimit-reset", "")
    if reset.isdecimal():
        return min(_MAX_BACKOFF, max(0.0, float(reset) - now))
    if message.template.retry_delay:
        return evaluate_retry_delay(message.template.retry_delay, message.retried)
    return min(_MAX_BACKOFF, math.exp(min(20.0, 2.5 * (message.retried + 1))))


def hash_content(template: Template) -> str:
    """Return the deduplication id of a message's content."""
    digest = hashlib.sha256(f"{template.method} {template.url} {template.headers}".encode())
    digest.update(template.body)
    return f"content:{digest.hexdigest()}"
