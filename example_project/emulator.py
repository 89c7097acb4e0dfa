"""The demo's emulator: what it counted, and the outages that it can play."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from typing import Any, Self
from urllib.request import Request, urlopen

# The emulator's ready line, which demo.py hands on.
READY_LINE = "DEMO_EMULATOR"


@dataclass(frozen=True, slots=True)
class Bill:
    """Totals: HTTP requests and the commands that Upstash would have billed."""

    requests: int
    commands: int

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.requests - other.requests, self.commands - other.commands)


def is_running() -> bool:
    """Return whether this site has an emulator at all; the service itself plays nothing."""
    return bool(os.environ.get(READY_LINE))


def read_bill() -> Bill | None:
    """Return the emulator's totals so far; None where none answers.

    The service itself tells them in its console only.
    """
    if not is_running():
        return None
    try:
        counted = _ask("GET", "count")
    except OSError:  # it was stopped, as somebody does who wants to see an outage
        return None
    return Bill(counted["rest"]["requests"], counted["billed"])


def play(fault: dict[str, Any], seconds: float) -> None:
    """Have a fault for a while. It ends by itself: who is logged in there could not end it."""
    number = _ask("POST", "faults", fault)["number"]
    timer = threading.Timer(seconds, _ask, ("DELETE", f"faults?number={number}"))
    timer.daemon = True
    timer.start()


def play_nothing() -> None:
    """End all faults."""
    _ask("DELETE", "faults")


def is_played() -> bool:
    """Return whether there is a fault at this moment."""
    try:
        return bool(_ask("GET", "faults"))
    except OSError:  # it was stopped
        return False


def _ask(method: str, path: str, body: object = None) -> Any:
    address = dict(word.split("=", 1) for word in os.environ[READY_LINE].split()[2:])
    request = Request(  # noqa: S310 the emulator's own address
        f"{address['control_url']}/_emulator/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {address['token']}"},
    )
    with urlopen(request, timeout=1) as response:  # noqa: S310 as above
        return json.load(response)
