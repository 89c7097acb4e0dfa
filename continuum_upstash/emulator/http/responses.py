"""Replies as the REST API writes them: JSON, JSON with base64 strings, or RESP2."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from continuum_upstash.emulator.http.requests import Kind, Refused
from continuum_upstash.emulator.redis.resp2 import OK, Error, NullArray, Reply, Status, pack_reply

JSON_TYPE: Final = "application/json"
RESP2_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Format:
    """How the client wants its replies, from its headers. Raises Refused."""

    resp2: bool
    base64: bool

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Format":
        encoding = headers.get("upstash-encoding", "")
        response_format = headers.get("upstash-response-format", "json")
        if encoding not in {"", "base64"}:
            raise Refused(f"ERR invalid Upstash-Encoding: {encoding}")
        if response_format not in {"json", "resp2"}:
            raise Refused(f"ERR invalid Upstash-Response-Format: {response_format}")
        if encoding and response_format == "resp2":
            raise Refused("ERR Upstash-Encoding: base64 is not permitted with resp2")
        return cls(resp2=response_format == "resp2", base64=bool(encoding))


@dataclass(frozen=True, slots=True)
class Body:
    status: int
    content: bytes
    content_type: str


def write(kind: Kind, replies: list[Reply], format_: Format) -> Body:
    """One body for all replies. Only a lone command's error shows in the HTTP status."""
    lone_error = kind is Kind.SINGLE and isinstance(replies[0], Error)
    status = replies[0].http_status if lone_error else 200
    if format_.resp2 and kind is not Kind.TRANSACTION:
        return Body(status, b"".join(map(pack_reply, replies)), RESP2_TYPE)
    text = _encoded if format_.base64 else _replaced
    items = [_item(reply, text) for reply in replies]
    return Body(status, _json(items[0] if kind is Kind.SINGLE else items), JSON_TYPE)


def write_refusal(text: str) -> bytes:
    return _json({"error": text})


def _item(reply: Reply, text: Callable[[bytes], str]) -> dict[str, Any]:
    if isinstance(reply, Error):
        return {"error": _replaced(reply)}
    if isinstance(reply, Status) and reply == OK:
        return {"result": "OK"}
    return {"result": _value(reply, text)}


def _value(reply: Reply, text: Callable[[bytes], str]) -> Any:
    match reply:
        case Error():
            return _replaced(reply)
        case bytes():
            return text(reply)
        case list():
            return [_value(item, text) for item in reply]
        case NullArray():
            return None
        case _:
            return reply


def _encoded(value: bytes) -> str:
    return b64encode(value).decode()


def _replaced(value: bytes) -> str:
    return value.decode(errors="replace")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
