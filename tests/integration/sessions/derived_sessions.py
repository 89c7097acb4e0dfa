"""A project's session engine, derived from the package's."""

from __future__ import annotations

from continuum_upstash import sessions


class SessionStore(sessions.SessionStore):
    """The package's session store, for a project to extend."""
