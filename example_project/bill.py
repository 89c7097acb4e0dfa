"""What the demo's emulator counted. The service itself tells it in its console only."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Self
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


def read_bill() -> Bill | None:
    """Return the emulator's totals so far; None where none runs."""
    line = os.environ.get(READY_LINE)
    if not line:
        return None
    address = dict(word.split("=", 1) for word in line.split()[2:])
    request = Request(  # noqa: S310 the emulator's own address
        f"{address['control_url']}/_emulator/count",
        headers={"Authorization": f"Bearer {address['token']}"},
    )
    try:
        with urlopen(request, timeout=1) as response:  # noqa: S310 as above
            counted = json.load(response)
    except OSError:  # it was stopped, as somebody does who wants to see an outage
        return None
    return Bill(counted["rest"]["requests"], counted["billed"])
