"""The errors of queues and channels, in addition to those of `continuum_upstash.errors`."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from continuum_upstash.errors import ConfigurationError, ContinuumError


class ImproperlyConfiguredFederation(ConfigurationError, ImproperlyConfigured):
    """The alias cannot store jobs or events; the message says why and how to fix it."""


class PayloadRejected(ContinuumError, ValueError):
    """A payload is too large, too deeply nested or cannot be stored. Nothing was sent."""


class EventsLost(ContinuumError):
    """A channel's stream no longer has all events after the position of its reader."""
