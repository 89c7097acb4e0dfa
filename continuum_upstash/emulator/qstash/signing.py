"""The signing keys of QStash, and the signature of a delivery: a JWT."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final

# The fixed test user of QStash's own development server.
TEST_TOKEN: Final = "eyJVc2VySUQiOiJkZWZhdWx0VXNlciIsIlBhc3N3b3JkIjoiZGVmYXVsdFBhc3N3b3JkIn0="  # noqa: S105
TEST_CURRENT_KEY: Final = "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r"
TEST_NEXT_KEY: Final = "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs"

_LIFETIME: Final = 300  # seconds


@dataclass(slots=True)
class SigningKeys:
    current: str = field(default=TEST_CURRENT_KEY, repr=False)
    next: str = field(default=TEST_NEXT_KEY, repr=False)

    def rotate(self) -> None:
        """Replace the current key by the next one, and the next one by a new key."""
        self.current, self.next = self.next, f"sig_{secrets.token_urlsafe(21)}"

    def as_json(self) -> dict[str, str]:
        return {"current": self.current, "next": self.next}

    def sign(self, url: str, body: bytes) -> str:
        """Return the Upstash-Signature of a delivery that starts now.

        It has the time of this machine, which receivers compare with theirs, also when the clock
        of the emulator is ahead.
        """
        now = int(time.time())
        claims = {
            "iss": "Upstash",
            "sub": url,
            "exp": now + _LIFETIME,
            "nbf": now,
            "iat": now,
            "jti": f"jwt_{secrets.token_urlsafe(18)}",
            "body": _encode(hashlib.sha256(body).digest(), padding=True),
        }
        signed = f"{_encode_json({'alg': 'HS256', 'typ': 'JWT'})}.{_encode_json(claims)}"
        digest = hmac.digest(self.current.encode(), signed.encode(), "sha256")
        return f"{signed}.{_encode(digest)}"


def _encode_json(value: dict[str, Any]) -> str:
    return _encode(json.dumps(value, separators=(",", ":")).encode())


def _encode(data: bytes, *, padding: bool = False) -> str:
    text = base64.urlsafe_b64encode(data).decode()
    return text if padding else text.rstrip("=")
