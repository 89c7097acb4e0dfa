"""What an emulator is started with, and the line that tells where it is."""

import secrets
from dataclasses import dataclass, field
from typing import Self

_MEGABYTE = 1024 * 1024


class BadOption(ValueError):
    """An option makes no sense; the message says what would."""


def new_secret() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes in bytes. Port 0 is any free port. Without `redis_url` a Valkey is embedded."""

    host: str = "127.0.0.1"
    port: int = 8079
    redis_port: int = 0
    control_port: int = 0
    token: str = field(default_factory=new_secret, repr=False)
    read_only_token: str = field(default_factory=new_secret, repr=False)
    redis_url: str = field(default="", repr=False)
    max_data_size: int = 256 * _MEGABYTE
    max_request_size: int = 10 * _MEGABYTE
    eviction: bool = False
    keep_alive: int = 60
    ssl_certfile: str = ""
    ssl_keyfile: str = ""

    def __post_init__(self) -> None:
        for token in (self.token, self.read_only_token):
            if not token.isascii() or not token.isprintable() or " " in token or not token:
                raise BadOption("a token is made of one or more ASCII characters and no space")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running emulator is."""

    rest_url: str
    redis_url: str = field(repr=False)
    control_url: str
    token: str = field(repr=False)
    read_only_token: str = field(repr=False)

    def line(self) -> str:
        """One line for programs; read back by `parse`. No value holds a space."""
        return "upstash-emulator ready " + " ".join(
            f"{name}={getattr(self, name)}" for name in self.__slots__
        )

    @classmethod
    def parse(cls, line: str) -> Self:
        return cls(**dict(word.split("=", 1) for word in line.split()[2:]))
