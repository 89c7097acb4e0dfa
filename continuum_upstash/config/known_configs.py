"""Keeps the resolved configurations, since Django creates a cache object for each task."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from continuum_upstash.config.resolve import Config, resolve
from continuum_upstash.errors import ConfigurationError

_MAX_CONFIGS: Final = 64


class _Known(NamedTuple):
    """A configuration, and the environment variables that were read for it."""

    config: Config
    variables: Mapping[str, str | None]


class KnownConfigs:
    """The configurations of one process, by the arguments that they were resolved from."""

    def __init__(self) -> None:
        self._known: dict[Hashable, _Known] = {}

    def resolve(
        self,
        options: Mapping[str, Any],
        environ: Mapping[str, str],
        *,
        alias: str,
        location: object,
        signing_keys: tuple[bytes, ...],
    ) -> Config:
        """Return the result of `config.resolve.resolve`, which runs once for the same values.

        The values are the arguments, and the environment variables that were read.
        """
        source = (alias, signing_keys, _make_comparable(location), _make_comparable(options))
        config = self._find(source, environ)
        if config is not None:
            return config
        recorder = _Recorder(environ)
        try:
            config = resolve(
                options, recorder, alias=alias, location=location, signing_keys=signing_keys
            )
        except ConfigurationError:
            # A traceback shows local variables, and these contain secrets.
            del options, environ, location, signing_keys, source, recorder
            raise
        if not recorder.was_listed:
            self._keep(source, _Known(config, recorder.variables))
        return config

    def _find(self, source: Hashable, environ: Mapping[str, str]) -> Config | None:
        try:
            known = self._known.get(source)
        except TypeError:  # an option that is not hashable
            return None
        if known is None:
            return None
        is_same = all(environ.get(name) == value for name, value in known.variables.items())
        return known.config if is_same else None

    def _keep(self, source: Hashable, known: _Known) -> None:
        if len(self._known) >= _MAX_CONFIGS:
            self._known.clear()
        try:
            self._known[source] = known
        except TypeError:
            return


class _Recorder(Mapping[str, str]):
    """The environment; it records which variables are read."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.variables: dict[str, str | None] = {}
        self.was_listed = False

    def __getitem__(self, name: str) -> str:
        value = self.variables[name] = self._environ.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        self.was_listed = True
        return iter(self._environ)

    def __len__(self) -> int:
        self.was_listed = True
        return len(self._environ)


def _make_comparable(value: Any) -> Hashable:
    """Return nested options with their types: 1 and True, which are equal, must differ."""
    if isinstance(value, Mapping):
        return (dict, *((key, _make_comparable(each)) for key, each in value.items()))
    if isinstance(value, (list, tuple)):
        return (type(value), *map(_make_comparable, value))
    return (type(value), value)
