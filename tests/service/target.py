"""The database that the suite examines: a real one, or an emulator."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final, Self
from urllib.parse import quote, unquote, urlsplit

from continuum_upstash.emulator.emulator_options import Addresses

# Set by `python -m tests.service` for the processes of pytest.
VARIABLE: Final = "CONTINUUM_SERVICE_SUITE"


@dataclass(frozen=True, slots=True)
class Target:
    """A database and what is known about it.

    Attributes:
        profile: which promises apply; a real database is examined as `upstash`.
        prefix: of every key that the suite writes.
        rest_url, token: of the REST API; empty: it is not examined.
        read_only_token: empty: unknown.
        redis_url: of TCP; empty: it is not examined.
        emulator: the line that an emulator prints with its addresses; empty: a real database.
        journal: the folder in which the names of the written keys are noted; empty: none.
    """

    profile: str
    prefix: str
    rest_url: str = ""
    token: str = field(default="", repr=False)
    read_only_token: str = field(default="", repr=False)
    redis_url: str = field(default="", repr=False)
    emulator: str = field(default="", repr=False)
    journal: str = ""
    large: bool = False

    @classmethod
    def from_variable(cls) -> Self | None:
        """Return the target that the runner has chosen; None under plain pytest."""
        text = os.environ.get(VARIABLE)
        return cls(**json.loads(text)) if text else None

    def to_variable(self) -> str:
        return json.dumps(asdict(self))

    @property
    def is_real(self) -> bool:
        return not self.emulator

    @property
    def rest_host(self) -> str:
        return urlsplit(self.rest_url).hostname or ""

    @property
    def name(self) -> str:
        """The host of the database as the report prints it."""
        return self.redact(self.rest_host or urlsplit(self.redis_url).hostname or "")

    def redact(self, text: str) -> str:
        """Return `text` without tokens, passwords and the name of a real database."""
        for secret in self._list_secrets():
            for form in {secret, quote(secret, safe=""), quote(secret)}:
                text = text.replace(form, "<secret>")
        if self.is_real:
            for url in (self.rest_url, self.redis_url):
                host = urlsplit(url).hostname or ""
                name, _, domain = host.partition(".")
                if domain and not name.isdecimal():
                    text = text.replace(name, "<database>")
        return text

    def _list_secrets(self) -> list[str]:
        password = urlsplit(self.redis_url).password or ""
        secrets = {self.token, self.read_only_token, password, unquote(password)}
        return sorted(filter(None, secrets), key=len, reverse=True)


def new_prefix() -> str:
    return f"continuum-suite:{secrets.token_hex(6)}:"


def describe_emulator(addresses: Addresses, profile: str, prefix: str) -> Target:
    return Target(
        profile=profile,
        prefix=prefix,
        rest_url=addresses.rest_url,
        token=addresses.token,
        read_only_token=addresses.read_only_token,
        redis_url=addresses.redis_url,
        emulator=addresses.format_line(),
    )


class MissingCredentials(Exception):
    """No database is configured; the message says what to set."""


def find_database(environ: Mapping[str, str], prefix: str, journal: str, *, large: bool) -> Target:
    """Return the real database that the environment names.

    Without UPSTASH_REDIS_URL, TCP is examined with the token as the password, as Upstash's console
    shows it.

    Raises:
        MissingCredentials: the environment names none, or only half of the pair.
    """

    def read(name: str) -> str:
        return environ.get(name, "").strip().strip("'\"").strip()

    rest_url, token = read("UPSTASH_REDIS_REST_URL"), read("UPSTASH_REDIS_REST_TOKEN")
    redis_url = read("UPSTASH_REDIS_URL")
    if bool(rest_url) != bool(token):
        missing = "UPSTASH_REDIS_REST_TOKEN" if rest_url else "UPSTASH_REDIS_REST_URL"
        raise MissingCredentials(f"{missing} is not set. Copy it from the Upstash console.")
    if not rest_url and not redis_url:
        raise MissingCredentials(
            "No database is configured. Set UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN "
            "(and UPSTASH_REDIS_URL for TCP) from the Upstash console, or examine an emulator: "
            "make test-service PROFILE=upstash"
        )
    host = urlsplit(rest_url).hostname or ""
    if not redis_url and host.endswith(".upstash.io"):
        redis_url = f"rediss://default:{quote(token, safe='')}@{host}:6379"
    return Target(
        profile="upstash",
        prefix=prefix,
        rest_url=rest_url.rstrip("/"),
        token=token,
        read_only_token=read("UPSTASH_REDIS_REST_READ_ONLY_TOKEN"),
        redis_url=redis_url,
        journal=journal,
        large=large,
    )
