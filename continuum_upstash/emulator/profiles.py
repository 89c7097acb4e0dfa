"""Profiles: which kind of database the emulator simulates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Profile:
    """
    Attributes:
        redis_version: as INFO and HELLO report it.
        missing_commands: names in lower case that the database does not have.
        is_upstash: commands, INFO and errors are those of Upstash; otherwise, those of the server
            behind.
        has_conditions: SET accepts IFEQ, IFNE, IFDEQ and IFDNE.
        has_rest: there is a REST port.
        has_command_paths: a path contains a command, or subscribes to events; otherwise, only
            `POST /`, `/pipeline` and `/multi-exec` exist.
        has_resp2: `Upstash-Response-Format: resp2` is supported; otherwise, it is ignored.
        has_sync_token: responses contain `Upstash-Sync-Token`.
    """

    redis_version: str = "8.2.0"
    missing_commands: frozenset[bytes] = frozenset()
    is_upstash: bool = True
    has_conditions: bool = True
    has_rest: bool = True
    has_command_paths: bool = True
    has_resp2: bool = True
    has_sync_token: bool = True


# Commands of Redis 8 and functions: the change log of the service names them after mid-2025.
_ADDED_AFTER_2025: Final = frozenset(
    b"delex digest hgetdel hgetex hsetex msetex xackdel xdelex fcall fcall_ro function|delete "
    b"function|flush function|kill function|list function|load function|stats".split()
)

PROFILES: Final[Mapping[str, Profile]] = {
    "upstash": Profile(),
    # INFO of a database of July 2025.
    "upstash-2025": Profile(
        redis_version="6.2.6", missing_commands=_ADDED_AFTER_2025, has_conditions=False
    ),
    # Upstash Redis on Fly.io: a private network, without TLS and without the REST API.
    "fly": Profile(has_rest=False),
    # serverless-redis-http: https://github.com/hiett/serverless-redis-http
    "srh": Profile(
        is_upstash=False, has_command_paths=False, has_resp2=False, has_sync_token=False
    ),
}
