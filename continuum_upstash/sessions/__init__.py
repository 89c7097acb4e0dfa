"""The session engine: ``SESSION_ENGINE = "continuum_upstash.sessions"``."""

from continuum_upstash.sessions.store import SessionStore

__all__ = ["SessionStore"]
