"""Encodes replies for the REST API: as JSON, as JSON with base64 strings, or as RESP2."""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from continuum_upstash.emulator.commands.request import RequestRejected, RequestType
from continuum_upstash.emulator.http.utf8 import decode_text
from continuum_upstash.emulator.redis.resp2_wire import (
    OK,
    Error,
    NullArray,
    Reply,
    Status,
    pack_reply,
)

JSON_TYPE: Final = "application/json"
RESP2_TYPE: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Format:
    """The encoding of the replies that the client requests."""

    resp2: bool
    base64: bool

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> "Format":
        """
        Raises:
            RequestRejected: a header is invalid.
        """
        encoding = headers.get("upstash-encoding", "")
        response_format = headers.get("upstash-response-format", "json")
        if encoding not in {"", "base64"}:
            raise RequestRejected(f"ERR invalid Upstash-Encoding: {encoding}")
        if response_format not in {"json", "resp2"}:
            raise RequestRejected(f"ERR invalid Upstash-Response-Format: {response_format}")
        if encoding and response_format == "resp2":
            raise RequestRejected("ERR Upstash-Encoding: base64 is not permitted with resp2")
        return cls(resp2=response_format == "resp2", base64=bool(encoding))


@dataclass(frozen=True, slots=True)
class EncodedResponse:
    status: int
    content: bytes
    content_type: str


def encode_replies(
    request_type: RequestType, replies: list[Reply], reply_format: Format
) -> EncodedResponse:
    """Return one body for all replies. Only a single command's error sets the HTTP status."""
    is_single = request_type is RequestType.SINGLE
    status = replies[0].http_status if is_single and isinstance(replies[0], Error) else 200
    if reply_format.resp2 and request_type is not RequestType.TRANSACTION:
        return EncodedResponse(status, b"".join(map(pack_reply, replies)), RESP2_TYPE)
    encode = _to_base64 if reply_format.base64 else decode_text
    items = [_encode_item(reply, encode) for reply in replies]
    return EncodedResponse(status, _to_json(items[0] if is_single else items), JSON_TYPE)


def encode_error(text: str) -> bytes:
    return _to_json({"error": text})


def _encode_item(reply: Reply, encode: Callable[[bytes], str]) -> dict[str, Any]:
    if isinstance(reply, Error):
        return {"error": decode_text(reply)}
    return {"result": _encode_value(reply, encode)}


def _encode_value(reply: Reply, encode: Callable[[bytes], str]) -> Any:
    match reply:
        case Error():
            return decode_text(reply)
        case Status() if reply == OK:
            return "OK"  # never in base64, whatever array contains it
        case bytes():
            return encode(reply)
        case list():
            return [_encode_value(item, encode) for item in reply]
        case NullArray():
            return None
        case _:
            return reply


def _to_base64(value: bytes) -> str:
    return b64encode(value).decode()


def _to_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
