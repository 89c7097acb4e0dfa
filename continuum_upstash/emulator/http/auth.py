"""The REST tokens, and where a request carries one."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs


def read_token(headers: Mapping[str, str], query: bytes) -> str:
    """Return the token of `?_token=`, else of the header: `Bearer <token>` or only the token."""
    if b"_token=" in query:
        return parse_qs(query.decode(errors="replace")).get("_token", [""])[0]
    header = headers.get("authorization", "").strip()
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else header


@dataclass(frozen=True, slots=True)
class RestTokens:
    full: str = field(repr=False)
    read_only: str = field(repr=False)

    def is_full(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.full.encode())

    def is_read_only(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.read_only.encode())
