"""Who asks, and how far the asker has seen: the REST token and the sync token."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"


def presented(headers: Mapping[str, str], query: bytes) -> str:
    """`?_token=` goes before the header; the header may be `Bearer <token>` or the bare token."""
    if b"_token=" in query:
        return parse_qs(query.decode(errors="replace")).get("_token", [""])[0]
    header = headers.get("authorization", "").strip()
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else header


@dataclass(frozen=True, slots=True)
class Tokens:
    full: str = field(repr=False)
    read_only: str = field(repr=False)

    def is_full(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.full.encode())

    def is_read_only(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.read_only.encode())


class SyncCounter:
    """Moved by every write and told to the client in base 32."""

    def __init__(self) -> None:
        self.value = 1

    def moved(self) -> None:
        self.value += 1


def base32(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 32)
        digits = _DIGITS[digit] + digits
    return digits or "0"


def read_base32(text: str) -> int:
    """0, the beginning, for an empty token or one that is not ours."""
    try:
        return int(text, 32)
    except ValueError:
        return 0
