"""A request after parsing: its type and its commands."""

from dataclasses import dataclass
from enum import StrEnum

from continuum_upstash.emulator.redis.resp2_wire import Argv


class RequestRejected(Exception):
    """No command of the request runs; the response is an error object with this HTTP status."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class RequestType(StrEnum):
    SINGLE = "single"
    PIPELINE = "pipeline"
    TRANSACTION = "multi-exec"


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    type: RequestType
    commands: list[Argv]
