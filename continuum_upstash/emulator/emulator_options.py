"""The options of an emulator, and the line with its addresses that it prints when it is ready."""

import secrets
import shlex
from dataclasses import dataclass, field
from typing import Self

from continuum_upstash.emulator.profiles import PROFILES, Profile

_MEGABYTE = 1024 * 1024


class InvalidOption(ValueError):
    """An option is invalid; the message says which values are valid."""


def generate_secret() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class EmulatorOptions:
    """
    Attributes:
        port, redis_port, control_port: 0: a free port.
        redis_url: empty: start an embedded Valkey.
        max_data_size, max_request_size: bytes.
        keep_alive: seconds.
        qstash_port: the port of QStash; None: no QStash.
        profile: a name of `PROFILES`.
        developer_api: the account for `DeveloperAccount.parse`; empty: there is no Developer API.
        token: also the password of the TCP user `default`, and `read_only_token` that of
            `default_ro`.
    """

    host: str = "127.0.0.1"
    port: int = 8079
    redis_port: int = 0
    control_port: int = 0
    qstash_port: int | None = None
    token: str = field(default_factory=generate_secret, repr=False)
    read_only_token: str = field(default_factory=generate_secret, repr=False)
    redis_url: str = field(default="", repr=False)
    max_data_size: int = 256 * _MEGABYTE
    max_request_size: int = 10 * _MEGABYTE
    eviction: bool = False
    refuse_getex_when_full: bool = False
    profile: str = "upstash"
    keep_alive: int = 60
    ssl_certfile: str = ""
    ssl_keyfile: str = ""
    developer_api: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for token in (self.token, self.read_only_token):
            if not token.isascii() or not token.isprintable() or " " in token or not token:
                raise InvalidOption(
                    "a token must consist of printable ASCII characters, without spaces"
                )
        if self.profile not in PROFILES:
            raise InvalidOption(
                f"unknown profile {self.profile!r}; known profiles: {', '.join(PROFILES)}"
            )

    def get_profile(self) -> Profile:
        return PROFILES[self.profile]


@dataclass(frozen=True, slots=True)
class Addresses:
    """The URLs and tokens of a running emulator.

    `rest_url` is empty without a REST port, and `qstash_url` without QStash.
    """

    rest_url: str
    redis_url: str = field(repr=False)
    control_url: str
    qstash_url: str
    token: str = field(repr=False)
    read_only_token: str = field(repr=False)

    def format_line(self) -> str:
        """Return the line that `parse` reads. No value contains a space."""
        return "upstash-emulator ready " + " ".join(
            f"{name}={getattr(self, name)}" for name in self.__slots__
        )

    def format_exports(self) -> str:
        """Return the commands that configure a shell for this emulator, one in a line."""
        variables = {
            "UPSTASH_REDIS_REST_URL": self.rest_url,
            "UPSTASH_REDIS_REST_TOKEN": self.token if self.rest_url else "",
            "UPSTASH_REDIS_URL": self.redis_url,
        }
        return "\n".join(
            f"export {name}={shlex.quote(value)}" for name, value in variables.items() if value
        )

    @classmethod
    def parse(cls, line: str) -> Self:
        return cls(**dict(word.split("=", 1) for word in line.split()[2:]))
