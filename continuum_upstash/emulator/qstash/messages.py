"""A message, a schedule and a dead letter: how they are read from headers, and shown as JSON."""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from continuum_upstash.emulator.qstash.cron import Cron
from continuum_upstash.emulator.qstash.expressions import evaluate_retry_delay, parse_duration

_METHODS: Final = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE"))
_FORWARDED: Final = "upstash-forward-"
_DEFAULT_RETRIES: Final = 3
_DEFAULT_TIMEOUT: Final = 30.0  # seconds
_MAX_DELAY: Final = 365 * 86_400  # seconds, on a paid plan
_MAX_RETRIES: Final = 100


def make_id(kind: str) -> str:
    return f"{kind}_{secrets.token_urlsafe(20)}"


@dataclass(frozen=True, slots=True)
class Template:
    """What a request to publish or to schedule says about the messages that it makes.

    Attributes:
        delay: seconds between the request, or the time of the schedule, and the first delivery.
        timeout: seconds until a delivery without a response is a failure.
        caller_ip: the address of the request.
    """

    url: str
    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    method: str = "POST"
    delay: float = 0.0
    retries: int = _DEFAULT_RETRIES
    retry_delay: str = ""
    timeout: float = _DEFAULT_TIMEOUT
    failure_callback: str = ""
    label: str = ""
    caller_ip: str = ""

    @classmethod
    def parse(
        cls, url: str, headers: Mapping[str, str], body: bytes, *, now: float, caller_ip: str
    ) -> Self:
        """Read the headers of a request, whose names are in lower case.

        Raises:
            ValueError: the destination or a header is invalid.
        """
        if not url.startswith(("http://", "https://")):
            raise ValueError(
                f"invalid destination url: {url!r} must begin with http:// or https://"
            )
        method = headers.get("upstash-method", "POST").upper()
        if method not in _METHODS:
            raise ValueError(f"invalid Upstash-Method {method!r}")
        retries = int(headers.get("upstash-retries", _DEFAULT_RETRIES))
        if not 0 <= retries <= _MAX_RETRIES:
            raise ValueError(f"Upstash-Retries must be between 0 and {_MAX_RETRIES}")
        retry_delay = headers.get("upstash-retry-delay", "")
        if retry_delay:
            evaluate_retry_delay(retry_delay, 0)
        delay = parse_duration(headers.get("upstash-delay", "0"))
        if "upstash-not-before" in headers:
            delay = max(0.0, int(headers["upstash-not-before"]) - now)
        if delay > _MAX_DELAY:
            raise ValueError(f"the delay must not exceed {_MAX_DELAY} seconds")
        return cls(
            url=url,
            body=body,
            headers=_read_forwarded(headers),
            method=method,
            delay=delay,
            retries=retries,
            retry_delay=retry_delay,
            timeout=parse_duration(headers.get("upstash-timeout", f"{_DEFAULT_TIMEOUT:.0f}s")),
            failure_callback=headers.get("upstash-failure-callback", ""),
            label=headers.get("upstash-label", ""),
            caller_ip=caller_ip,
        )

    def as_json(self) -> dict[str, Any]:
        optional = {
            "retryDelayExpression": self.retry_delay,
            "failureCallback": self.failure_callback,
            "label": self.label,
        }
        return {
            "url": self.url,
            "method": self.method,
            "header": {name: [value] for name, value in self.headers},
            "maxRetries": self.retries,
            "callerIP": self.caller_ip,
            **encode_body("body", self.body),
            **{name: value for name, value in optional.items() if value},
        }


@dataclass(slots=True)
class Message:
    """A message that waits for its next delivery.

    Attributes:
        created, due: Unix seconds of the emulator's clock.
        retried: the deliveries that failed.
    """

    id: str
    template: Template
    created: float
    due: float
    schedule_id: str = ""
    retried: int = 0

    def as_json(self) -> dict[str, Any]:
        shown = {
            "messageId": self.id,
            "createdAt": int(self.created * 1000),
            "notBefore": int(self.due * 1000),
            **self.template.as_json(),
        }
        if self.schedule_id:
            shown["scheduleId"] = self.schedule_id
        return shown


@dataclass(slots=True)
class Schedule:
    id: str
    cron_text: str
    cron: Cron
    template: Template
    created: float
    due: float
    is_paused: bool = False

    def as_json(self) -> dict[str, Any]:
        shown = self.template.as_json()
        return {
            **shown,
            "scheduleId": self.id,
            "cron": self.cron_text,
            "createdAt": int(self.created * 1000),
            "nextScheduleTime": int(self.due * 1000),
            "destination": shown.pop("url"),
            "retries": self.template.retries,
            "isPaused": self.is_paused,
        }


@dataclass(slots=True)
class DeadLetter:
    """A message whose deliveries all failed, and the last response (status 0: none)."""

    id: str
    message: Message
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        return {
            **self.message.as_json(),
            "dlqId": self.id,
            "responseStatus": self.status,
            "responseHeader": {name: [value] for name, value in self.headers.items()},
            **encode_body("responseBody", self.body),
        }

    def make_failure_callback(self, now: float) -> Message | None:
        """Return the message to the failure callback; None if there is none."""
        url = self.message.template.failure_callback
        if not url:
            return None
        content = {
            "status": self.status,
            "body": base64.b64encode(self.body).decode(),
            "retried": self.message.retried,
            "maxRetries": self.message.template.retries,
            "dlqId": self.id,
            "sourceMessageId": self.message.id,
            "url": self.message.template.url,
            "method": self.message.template.method,
            "sourceBody": base64.b64encode(self.message.template.body).decode(),
        }
        template = replace(
            self.message.template,
            url=url,
            method="POST",
            body=json.dumps(content).encode(),
            headers=(("content-type", "application/json"),),
            failure_callback="",
        )
        return Message(make_id("msg"), template, now, now)


def encode_body(name: str, body: bytes) -> dict[str, str]:
    """Return a body as text, or, if it is not UTF-8, in base64 under another name."""
    try:
        return {name: body.decode()}
    except UnicodeDecodeError:
        return {f"{name}Base64": base64.b64encode(body).decode()}


def _read_forwarded(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    forwarded = {
        name.removeprefix(_FORWARDED): value
        for name, value in headers.items()
        if name.startswith(_FORWARDED)
    }
    if "content-type" in headers:
        forwarded.setdefault("content-type", headers["content-type"])
    return tuple(forwarded.items())
