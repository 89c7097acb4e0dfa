"""The OPTIONS of an entry of TASKS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from continuum_upstash.errors import suggest_similar
from continuum_upstash.federation.errors import ImproperlyConfiguredFederation

_PUSH_VARIABLES: Final = {
    "TOKEN": "QSTASH_TOKEN",
    "CURRENT_SIGNING_KEY": "QSTASH_CURRENT_SIGNING_KEY",
    "NEXT_SIGNING_KEY": "QSTASH_NEXT_SIGNING_KEY",
}
_MAX_ATTEMPTS: Final = 100
# A request replaces a task by another one, both in base64: twice this must be below the 10 MB that
# a request of Upstash may have.
_MAX_BYTES: Final = 3 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PushOptions:
    """How QStash calls this site.

    Attributes:
        url: the public URL of the view that runs tasks; QStash signs it.
        qstash_url: where messages are published; "": Upstash's own.
        token: of the account.
        signing_keys: the current one and the next one.
    """

    url: str
    qstash_url: str
    token: str = field(repr=False)
    signing_keys: tuple[str, str] = field(repr=False)

    @classmethod
    def parse(cls, alias: str, options: object, environment: Mapping[str, str]) -> Self:
        """Read the option PUSH; what is not in it comes from the variables QSTASH_….

        Raises:
            ImproperlyConfiguredFederation: an entry is missing, unknown or no text.
        """
        if not isinstance(options, Mapping):
            raise _make_error(alias, 'PUSH must be a dict such as {"URL": "https://…"}.')
        known = {"URL", "QSTASH_URL", *_PUSH_VARIABLES}
        for name, value in options.items():
            if name not in known:
                hint = suggest_similar(str(name), known)
                raise _make_error(alias, f"PUSH has no entry {name!r}.{hint}")
            if not isinstance(value, str):
                raise _make_error(alias, f"PUSH[{name!r}] must be a str.")
        url = options.get("URL", "")
        if not url.startswith(("https://", "http://")):
            raise _make_error(
                alias,
                'PUSH["URL"] must be the public URL of the view that runs tasks, for example '
                '"https://example.com/federation/tasks/run/".',
            )
        secrets = {}
        for name, variable in _PUSH_VARIABLES.items():
            secrets[name] = (options.get(name) or environment.get(variable, "")).strip()
            if not secrets[name]:
                raise _make_error(alias, f'set {variable}, or PUSH["{name}"].')
        return cls(
            url=url,
            qstash_url=options.get("QSTASH_URL") or environment.get("QSTASH_URL", ""),
            token=secrets["TOKEN"],
            signing_keys=(secrets["CURRENT_SIGNING_KEY"], secrets["NEXT_SIGNING_KEY"]),
        )


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """
    Attributes:
        using: the entry of CACHES whose database holds tasks and results.
        result_ttl: seconds that a result is kept after the task has finished.
        enqueue_on_commit: send the task when the transaction of the database connection commits.
        database: that connection, an entry of DATABASES.
        max_attempts: how often a task runs that raises an exception.
        backoff: seconds before the second attempt; each further delay is twice as long.
        max_crashes: how often a task is run again whose worker was killed.
        max_bytes: of a task with its arguments or its return value.
        timeout: seconds after which a task that was pushed, and did not finish, counts as crashed.
    """

    using: str = "federation"
    result_ttl: int = 86_400
    enqueue_on_commit: bool = False
    database: str = "default"
    max_attempts: int = 1
    backoff: float = 10.0
    max_crashes: int = 2
    max_bytes: int = 1024 * 1024
    timeout: float = 300.0
    push: PushOptions | None = None

    def get_max_attempts(self, task: object) -> int:
        """Return how often a task runs that raises exceptions: its own policy or MAX_ATTEMPTS."""
        own: int | None = getattr(task, "max_attempts", None)
        return self.max_attempts if own is None else own

    @classmethod
    def parse(
        cls, alias: str, options: Mapping[str, Any], environment: Mapping[str, str] = os.environ
    ) -> Self:
        """
        Raises:
            ImproperlyConfiguredFederation: an option is unknown or invalid.
        """
        defaults = cls()
        known = {each.name.upper(): each.name for each in fields(cls)}
        values: dict[str, Any] = {}
        for name, value in options.items():
            if name not in known:
                hint = suggest_similar(str(name), known)
                raise _make_error(alias, f"unknown option {name!r}.{hint}")
            if name == "PUSH":
                value = value and PushOptions.parse(alias, value, environment)  # noqa: PLW2901
            elif not _has_type_of(value, getattr(defaults, known[name])):
                expected = type(getattr(defaults, known[name])).__name__
                raise _make_error(alias, f"{name} must be a {expected}, not {value!r}.")
            values[known[name]] = value
        parsed = cls(**values)
        if not 1 <= parsed.max_attempts <= _MAX_ATTEMPTS or not (
            0 <= parsed.max_crashes <= _MAX_ATTEMPTS
        ):
            raise _make_error(
                alias, f"MAX_ATTEMPTS must be 1 to {_MAX_ATTEMPTS}, MAX_CRASHES 0 or more."
            )
        for name in ("result_ttl", "backoff", "max_bytes", "timeout"):
            if not getattr(parsed, name) > 0:
                raise _make_error(alias, f"{name.upper()} must be greater than 0.")
        if parsed.max_bytes > _MAX_BYTES:
            raise _make_error(
                alias,
                f"MAX_BYTES must be at most {_MAX_BYTES:,} (3 MiB), since a request of Upstash is "
                "limited to 10 MB. Store larger data elsewhere and pass its key.",
            )
        return parsed


def _has_type_of(value: object, default: object) -> bool:
    if isinstance(default, float):
        return type(value) in {int, float}
    return type(value) is type(default)


def _make_error(alias: str, text: str) -> ImproperlyConfiguredFederation:
    return ImproperlyConfiguredFederation(f"TASKS['{alias}']: {text}")
