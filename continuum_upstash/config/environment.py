"""Reads the environment variables of one database, and the secret files that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from continuum_upstash.config.secrets import SecretFile, strip_quotes
from continuum_upstash.errors import ConfigurationError

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_FILE_SUFFIX: Final = "_FILE"
# Names by which the variables of a database with a prefix are recognized. Other software uses
# names like CELERY_REDIS_URL, too.
_DISTINCTIVE_NAMES: Final = (
    "UPSTASH_REDIS_REST_URL",
    "KV_REST_API_URL",
    "UPSTASH_REDIS_URL",
)


class Sourced(NamedTuple):
    """A value and where it came from. An empty value means that there is none."""

    value: Any = None
    source: str = "OPTIONS"


class Environment:
    """The environment variables of one database.

    Credentials are read with the prefix only, settings first with it and then without.
    """

    def __init__(self, environ: Mapping[str, str], prefix: object) -> None:
        if not isinstance(prefix, str):
            raise ConfigurationError("ENV_PREFIX must be a string, for example 'SESSIONS_'.")
        self._environ = environ
        self.prefix = prefix

    @property
    def setup_hint(self) -> str:
        """Which variables to set, and those with another prefix that are set."""
        return make_setup_hint(self.prefix) + "".join(
            f" {name} is set: to use it, set ENV_PREFIX = '{prefix}'."
            for name, prefix in self._find_other_prefixes().items()
        )

    def get_credential(self, name: str) -> Sourced:
        """Return the text of a variable, or a `SecretFile` if ``<name>_FILE`` is set.

        Raises:
            ConfigurationError: both are set, or the file cannot be read.
        """
        source = self.prefix + name
        text, path = self._get(source), self._get(source + _FILE_SUFFIX)
        if not path:
            return Sourced(text, source)
        if text:
            raise ConfigurationError(
                f"{source} and {source}{_FILE_SUFFIX} are both set. Remove one of them."
            )
        return Sourced(SecretFile(path, source + _FILE_SUFFIX), source + _FILE_SUFFIX)

    def get_setting(self, name: str) -> Sourced:
        text = self._get(self.prefix + name)
        if text or not self.prefix:
            return Sourced(text, self.prefix + name)
        return Sourced(self._get(name), name)

    def get_boolean(self, name: str) -> bool | None:
        setting = self.get_setting(name)
        text = setting.value.lower()
        if not text:
            return None
        if text not in _TRUE | _FALSE:
            raise ConfigurationError(f"{setting.source} is {text!r}. Set it to true or false.")
        return text in _TRUE

    def get_integer(self, name: str) -> int | None:
        setting = self.get_setting(name)
        text: str = setting.value
        if not text:
            return None
        if not text.isdecimal() or not int(text):
            raise ConfigurationError(
                f"{setting.source} is {text!r}. Set it to a whole number above 0."
            )
        return int(text)

    def _get(self, name: str) -> str:
        return strip_quotes(self._environ.get(name, ""))

    def _find_other_prefixes(self) -> dict[str, str]:
        """Return variables of databases with another prefix, and their prefixes."""
        found: dict[str, str] = {}
        for name in sorted(self._environ):
            variable = name.removesuffix(_FILE_SUFFIX)
            for ending in _DISTINCTIVE_NAMES:
                prefix = variable.removesuffix(ending)
                is_new = prefix not in {"", variable, self.prefix, *found.values()}
                if is_new and self._environ[name]:
                    found[name] = prefix
        return found


def make_setup_hint(prefix: str) -> str:
    """Return which environment variables to set, for variables with this prefix."""
    return (
        f"Set {prefix}UPSTASH_REDIS_REST_URL and {prefix}UPSTASH_REDIS_REST_TOKEN (REST), or "
        f"{prefix}UPSTASH_REDIS_URL (TCP)."
    )
