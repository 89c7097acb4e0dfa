"""The actions on a database; harmful ones are confirmed before they run, and all are logged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from django.contrib import messages
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.probe import probe_health
from continuum_upstash.health.quantities import format_milliseconds
from continuum_upstash.panel.formatting import Text
from continuum_upstash.panel.session_summary import is_login_store


@dataclass(frozen=True, slots=True)
class Outcome:
    """The message after an action.

    Attributes:
        level: of django.contrib.messages.
        text: what happened, without secrets.
    """

    level: int
    text: Text


@dataclass(frozen=True, slots=True)
class Action:
    """One button of the panel.

    Attributes:
        title: of the confirmation page.
        button: its label.
        effect: what will happen, in one to three sentences.
        function: runs the action; takes the cache and the name of the user.
        states: the breaker's states in which the action is available.
        is_harmful: whether calls may fail or wait because of it; such an action is confirmed.
    """

    title: Text
    button: Text
    effect: Text
    function: Callable[[UpstashBaseCache, str], Outcome]
    states: frozenset[str]
    is_harmful: bool = False

    def is_available(self, cache: UpstashBaseCache) -> bool:
        database = cache.database
        if database.config.mode == "local" or database.status.state not in self.states:
            return False
        return self.function is not _force_open or not is_login_store(database.config.alias)

    def run(self, cache: UpstashBaseCache, user: str) -> Outcome:
        """Run the action; an error of the database becomes the outcome."""
        try:
            return self.function(cache, user)
        except ContinuumError as error:
            return Outcome(messages.ERROR, str(error))


def _probe_now(cache: UpstashBaseCache, _user: str) -> Outcome:
    cache.database.failover.breaker.allow_probe_now()
    health = cache.run(probe_health(cache))
    if health.round_trip is None:
        return Outcome(messages.ERROR, " ".join(health.errors))
    text = _("The database replied in {time}.")
    return Outcome(messages.SUCCESS, format_lazy(text, time=format_milliseconds(health.round_trip)))


def _reconnect(cache: UpstashBaseCache, user: str) -> Outcome:
    cache.database.close()
    return _probe_now(cache, user)


def _force_open(cache: UpstashBaseCache, user: str) -> Outcome:
    cache.database.failover.breaker.force_open(f"by {user}, in the admin")
    return Outcome(messages.SUCCESS, _("This process no longer sends commands to Upstash."))


def _bypass(cache: UpstashBaseCache, user: str) -> Outcome:
    cache.database.failover.breaker.disable(f"by {user}, in the admin")
    return Outcome(
        messages.SUCCESS, _("This process sends every call to Upstash, even during an outage.")
    )


def _close(cache: UpstashBaseCache, user: str) -> Outcome:
    cache.database.failover.breaker.reset(f"by {user}, in the admin")
    return Outcome(
        messages.SUCCESS, _("The breaker is closed: this process sends commands to Upstash again.")
    )


_ALL_STATES: Final = frozenset({"closed", "open", "half_open", "forced_open", "disabled"})

ACTIONS: Final[Mapping[str, Action]] = {
    "probe": Action(
        _("Probe now"),
        _("Probe now"),
        _(
            "Sends a PING and an INFO to the database without waiting for the next scheduled "
            "probe. If they succeed, the breaker closes. They are not billed."
        ),
        _probe_now,
        _ALL_STATES - {"forced_open"},
    ),
    "reconnect": Action(
        _("Reconnect"),
        _("Reconnect"),
        _(
            "Closes the connections that this process keeps for synchronous code, opens a new one "
            "and probes the database. Requests in progress are not interrupted."
        ),
        _reconnect,
        _ALL_STATES - {"forced_open"},
    ),
    "open": Action(
        _("Force the breaker open"),
        _("Force open"),
        _(
            "This process stops using the database until the breaker is closed again. With "
            "FALLBACK, an empty local store serves the cache. Locks, sessions and everything else "
            "that must be shared between processes fail until then."
        ),
        _force_open,
        _ALL_STATES - {"forced_open"},
        is_harmful=True,
    ),
    "disable": Action(
        _("Bypass the breaker"),
        _("Bypass breaker"),
        _(
            "This process sends every call to the database, even during an outage, when each call "
            "waits for its timeout. With FALLBACK, the local store still serves calls that fail."
        ),
        _bypass,
        _ALL_STATES - {"disabled"},
        is_harmful=True,
    ),
    "close": Action(
        _("Force the breaker closed"),
        _("Force closed"),
        _(
            "This process uses the database again from the next call on. If the database is still "
            "unreachable, the breaker opens after three failures."
        ),
        _close,
        _ALL_STATES - {"closed"},
    ),
}
