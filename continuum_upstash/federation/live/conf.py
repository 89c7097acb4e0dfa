"""``CONTINUUM_LIVE``, read when it is needed, so that tests can override it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from math import inf
from typing import Any, Final

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from continuum_upstash.errors import suggest_similar
from continuum_upstash.federation.channels.events import validate_name
from continuum_upstash.federation.errors import ImproperlyConfiguredFederation

SETTING: Final = "CONTINUUM_LIVE"

DEFAULTS: Final[Mapping[str, Any]] = {
    "USING": "federation",
    "CHANNELS": (),
    "AUTHORIZE": None,
    "ALLOWED_ORIGINS": (),
    "MAX_DURATION": 300,
    "PING_INTERVAL": 25,
    "MAX_CHANNELS": 10,
    "MAX_STREAMS": 2000,
    "MAX_STREAMS_PER_USER": 10,
    "MAX_STREAMS_PER_ADDRESS": 50,
    "MAX_THREADS": 0,
    "POLL_INTERVAL": 5,
}


class LiveSettings:
    """The entries of the setting, each read once.

    An attribute raises ImproperlyConfiguredFederation if its entry is invalid.
    """

    def clear(self) -> None:
        """Read the setting again when it is needed next."""
        self.__dict__.clear()

    def validate(self) -> None:
        """Read every entry.

        Raises:
            ImproperlyConfiguredFederation: one is invalid.
        """
        for name in DEFAULTS:
            getattr(self, name.lower())

    def read(self, name: str) -> Any:
        """Return the value of an entry, or its default."""
        setting = getattr(settings, SETTING, {})
        if not isinstance(setting, dict):
            raise ImproperlyConfiguredFederation(f"{SETTING} must be a dict, not {setting!r}.")
        for unknown in setting.keys() - DEFAULTS.keys():
            hint = suggest_similar(str(unknown), DEFAULTS)
            raise ImproperlyConfiguredFederation(f"{SETTING} has no entry {unknown!r}.{hint}")
        return setting.get(name, DEFAULTS[name])

    @cached_property
    def using(self) -> str:
        """The entry of CACHES whose channels pages may read."""
        return str(self.read("USING"))

    @cached_property
    def channels(self) -> frozenset[str]:
        """The channels that everyone may read."""
        names = self.read("CHANNELS")
        if isinstance(names, str):
            raise ImproperlyConfiguredFederation(f"{SETTING}: CHANNELS must be a list of names.")
        try:
            return frozenset(validate_name(name, "a channel") for name in names)
        except (TypeError, ValueError) as error:
            raise ImproperlyConfiguredFederation(f"{SETTING}: CHANNELS: {error}") from error

    @cached_property
    def authorize(self) -> Callable[..., Any] | None:
        """The function that permits a request to read other channels; None: it may not."""
        path = self.read("AUTHORIZE")
        function: Callable[..., Any] | None
        try:
            function = import_string(path) if isinstance(path, str) else path
        except ImportError as error:
            raise ImproperlyConfiguredFederation(f"{SETTING}: AUTHORIZE: {error}") from error
        if function is not None and not callable(function):
            raise ImproperlyConfiguredFederation(
                f"{SETTING}: AUTHORIZE must be a function or its dotted path, not {path!r}."
            )
        return function

    @cached_property
    def allowed_origins(self) -> frozenset[str]:
        """The other origins whose pages may read, such as ``https://app.example.com``."""
        origins = self.read("ALLOWED_ORIGINS")
        if isinstance(origins, str) or "*" in origins:
            raise ImproperlyConfiguredFederation(
                f"{SETTING}: ALLOWED_ORIGINS must be a list of origins without '*', which browsers "
                "do not combine with cookies."
            )
        return frozenset(origins)

    @cached_property
    def max_duration(self) -> float:
        """Seconds after which a page is told to reconnect."""
        return self._read_number("MAX_DURATION")

    @cached_property
    def ping_interval(self) -> float:
        """Seconds between pings while there is no event; the browser client expects 75 at most."""
        return self._read_number("PING_INTERVAL")

    @cached_property
    def max_channels(self) -> int:
        """Channels per connection."""
        return int(self._read_number("MAX_CHANNELS"))

    @cached_property
    def max_streams(self) -> int:
        """Connections per process."""
        return int(self._read_number("MAX_STREAMS"))

    @cached_property
    def max_streams_per_user(self) -> int:
        """Connections per logged-in user and process."""
        return int(self._read_number("MAX_STREAMS_PER_USER"))

    @cached_property
    def max_streams_per_address(self) -> int:
        """Connections per client address and process."""
        return int(self._read_number("MAX_STREAMS_PER_ADDRESS"))

    @cached_property
    def max_threads(self) -> int:
        """Connections per process that may each keep a thread under WSGI; the others poll."""
        return int(self._read_number("MAX_THREADS", minimum=-1))

    @cached_property
    def poll_interval(self) -> float:
        """Seconds between the requests of a page that polls."""
        return self._read_number("POLL_INTERVAL")

    def _read_number(self, name: str, minimum: int = 0) -> float:
        value = self.read(name)
        if type(value) not in {int, float} or not minimum < value < inf:
            raise ImproperlyConfiguredFederation(
                f"{SETTING}: {name} must be a number above {minimum}, not {value!r}."
            )
        number: float = value
        return number


conf = LiveSettings()


def _on_setting_changed(*, setting: str, **_: object) -> None:
    if setting == SETTING:
        conf.clear()


setting_changed.connect(_on_setting_changed)
