"""What may be done to a database: one table of actions, each confirmed before and logged after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from django.contrib import messages
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.report import Examiner
from continuum_upstash.panel.formatting import Text, milliseconds
from continuum_upstash.panel.session_summary import logins_need


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    Attributes:
        level: of django.contrib.messages.
        text: what happened, without secrets.
    """

    level: int
    text: Text


@dataclass(frozen=True, slots=True)
class Action:
    """
    Attributes:
        title: of the confirmation.
        button: on the page.
        effect: what will happen, in a sentence or two.
        perform: does it; takes the cache and who asked for it.
        states: of the breaker in which it makes sense.
    """

    title: Text
    button: Text
    effect: Text
    perform: Callable[[UpstashBaseCache, str], Outcome]
    states: frozenset[str]

    def offered(self, cache: UpstashBaseCache) -> bool:
        database = cache.database
        if database.config.mode == "local" or database.status.state not in self.states:
            return False
        return self.perform is not _force_open or not logins_need(database.config.alias)


def perform(action: Action, cache: UpstashBaseCache, by: str) -> Outcome:
    """Do it; whatever the database says to that is in the outcome."""
    try:
        return action.perform(cache, by)
    except ContinuumError as error:
        return Outcome(messages.ERROR, str(error))


def _probe(cache: UpstashBaseCache, _by: str) -> Outcome:
    cache.database.failover.breaker.allow_probe_now()
    return _sign_of_life(cache)


def _reconnect(cache: UpstashBaseCache, _by: str) -> Outcome:
    cache.database.close()
    return _probe(cache, _by)


def _sign_of_life(cache: UpstashBaseCache) -> Outcome:
    report = Examiner(cache).report()
    if report.round_trip is None:
        return Outcome(messages.ERROR, " ".join(report.errors))
    text = _("The database answered in {time}.")
    return Outcome(messages.SUCCESS, format_lazy(text, time=milliseconds(report.round_trip)))


def _force_open(cache: UpstashBaseCache, by: str) -> Outcome:
    cache.database.failover.breaker.force_open(f"by {by}, in the admin")
    return Outcome(messages.SUCCESS, _("This process leaves the database alone from now on."))


def _disable(cache: UpstashBaseCache, by: str) -> Outcome:
    cache.database.failover.breaker.disable(f"by {by}, in the admin")
    return Outcome(messages.SUCCESS, _("This process asks the database whatever happens."))


def _reset(cache: UpstashBaseCache, by: str) -> Outcome:
    cache.database.failover.breaker.reset(f"by {by}, in the admin")
    return Outcome(messages.SUCCESS, _("The breaker is closed: this process asks the database."))


_ANY: Final = frozenset({"closed", "open", "half_open", "forced_open", "disabled"})

ACTIONS: Final[Mapping[str, Action]] = {
    "probe": Action(
        _("Probe now"),
        _("Probe now"),
        _(
            "Ends the break, if there is one, and asks the database for a sign of life. "
            "That is not billed."
        ),
        _probe,
        _ANY - {"forced_open"},
    ),
    "reconnect": Action(
        _("Reconnect"),
        _("Reconnect"),
        _(
            "Drops the connections that this process holds for synchronous code, opens a new one "
            "and asks for a sign of life. Requests under way are not interrupted."
        ),
        _reconnect,
        _ANY - {"forced_open"},
    ),
    "open": Action(
        _("Force the breaker open"),
        _("Force open"),
        _(
            "This process leaves the database alone until somebody closes the breaker. Where "
            "FALLBACK is on, a local store answers, which begins empty; locks, sessions and "
            "whatever else must be shared fail until then."
        ),
        _force_open,
        _ANY - {"forced_open"},
    ),
    "disable": Action(
        _("Switch the breaker off"),
        _("Switch off"),
        _(
            "This process asks the database on every call, even during an outage, when each call "
            "then waits for its time-out. A call that fails is still answered locally."
        ),
        _disable,
        _ANY - {"disabled"},
    ),
    "close": Action(
        _("Force the breaker closed"),
        _("Force closed"),
        _(
            "This process asks the database again from the next call on. If that is still out "
            "of reach, the breaker opens after three failures."
        ),
        _reset,
        _ANY - {"closed"},
    ),
}
