"""Moves a cache from another backend or server to Upstash while the site runs."""

from continuum_upstash.migration.backend import MigratingCache

__all__ = ["MigratingCache"]
