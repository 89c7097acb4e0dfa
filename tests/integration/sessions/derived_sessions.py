"""A session engine of a site's own, derived from the package's."""

from __future__ import annotations

from continuum_upstash import sessions


class SessionStore(sessions.SessionStore):
    """As the package's, for a site that adds to it."""
