"""Values of one secret in AWS Secrets Manager, which is a JSON object. TOKEN accepts them.

A value is kept for five minutes. When Upstash rejects a token, continuum-upstash calls `renew`,
and the secret is read again at once: a rotated token is used from the next request on.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable

KEEP_SECONDS = 300
RETRY_SECONDS = (
    5  # at least so long between two reads, if the token stays wrong or AWS has an outage
)

logger = logging.getLogger(__name__)


def read_from_aws(secret_id: str) -> str:
    import boto3  # noqa: PLC0415 - part of Lambda's runtime, not of this site
    from botocore.config import Config  # noqa: PLC0415

    # The default is 60 s and four retries, longer than a request may take.
    config = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2})
    client = boto3.client("secretsmanager", config=config)
    text: str = client.get_secret_value(SecretId=secret_id)["SecretString"]
    return text


class Secret:
    """Reads the secret at the first use of a value."""

    def __init__(self, secret_id: str, read: Callable[[str], str] = read_from_aws) -> None:
        """
        Args:
            secret_id: the name or the ARN.
            read: returns the JSON text of a secret.
        """
        self._id, self._read = secret_id, read
        self._values: dict[str, str] = {}
        self._expires_at = 0.0  # time.monotonic(), as all times here
        self._may_read_at = 0.0
        self._lock = threading.Lock()

    def get(self, name: str, *, renew: bool = False) -> str:
        """Return a value, from memory if it was read in the last five minutes.

        Args:
            renew: read the secret again, unless it was renewed in the last five seconds.

        Raises:
            KeyError: the secret has no such value.
        """
        with self._lock:
            now = time.monotonic()
            if not self._values or (
                now >= self._may_read_at and (renew or now >= self._expires_at)
            ):
                self._read_values(now)
                if renew:
                    self._may_read_at = now + RETRY_SECONDS
            return self._values[name]

    def _read_values(self, now: float) -> None:
        try:
            self._values = json.loads(self._read(self._id))
        except Exception:
            if not self._values:
                raise
            self._may_read_at = now + RETRY_SECONDS
            logger.warning("Secrets Manager: the secret was not read; the last values are used.")
        else:
            self._expires_at = now + KEEP_SECONDS


class SecretValue:
    """One value of a secret, for the option TOKEN."""

    def __init__(self, secret: Secret, name: str) -> None:
        self._secret, self._name = secret, name

    def __call__(self) -> str:
        return self._secret.get(self._name)

    def renew(self) -> str:
        """Return the value after the server rejected the one of the last call."""
        return self._secret.get(self._name, renew=True)
