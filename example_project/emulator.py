"""Control of the demo's emulator: its usage counters and its faults."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from typing import Any, Self
from urllib.request import Request, urlopen

# Environment variable with the emulator's ready line; demo.py sets it.
READY_LINE = "DEMO_EMULATOR"


@dataclass(frozen=True, slots=True)
class Usage:
    """Totals: HTTP requests, and commands that Upstash would have billed."""

    requests: int
    commands: int

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.requests - other.requests, self.commands - other.commands)


def is_configured() -> bool:
    """Return whether this site runs on an emulator; only an emulator has faults and counters."""
    return bool(os.environ.get(READY_LINE))


def read_usage() -> Usage | None:
    """Return the emulator's totals; None without an emulator, or if it is stopped."""
    if not is_configured():
        return None
    try:
        totals = _send("GET", "count")
    except OSError:  # a visitor may stop the emulator to see an outage
        return None
    return Usage(totals["rest"]["requests"], totals["billed"])


def start_fault(fault: dict[str, Any], seconds: float) -> None:
    """Start a fault that ends after some seconds, even if no staff user can log in to end it."""
    number = _send("POST", "faults", fault)["number"]
    timer = threading.Timer(seconds, _send, ("DELETE", f"faults?number={number}"))
    timer.daemon = True
    timer.start()


def end_faults() -> None:
    """End all faults."""
    _send("DELETE", "faults")


def has_fault() -> bool:
    """Return whether a fault is active."""
    try:
        return bool(_send("GET", "faults"))
    except OSError:  # the emulator is stopped
        return False


def _send(method: str, path: str, body: object = None) -> Any:
    address = dict(word.split("=", 1) for word in os.environ[READY_LINE].split()[2:])
    request = Request(  # noqa: S310 the emulator's own address
        f"{address['control_url']}/_emulator/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {address['token']}"},
    )
    with urlopen(request, timeout=1) as response:  # noqa: S310 as above
        return json.load(response)
