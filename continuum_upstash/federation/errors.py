"""The errors of queues, in addition to those of `continuum_upstash.errors`."""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from continuum_upstash.errors import ConfigurationError, ContinuumError


class ImproperlyConfiguredFederation(ConfigurationError, ImproperlyConfigured):
    """The alias of a queue cannot store jobs; the message says why and how to fix it."""


class PayloadRejected(ContinuumError, ValueError):
    """A payload is too large, too deeply nested or cannot be stored. Nothing was sent."""
