"""The configuration of a database, from OPTIONS, keyword arguments and the environment."""

from continuum_upstash.config.resolve import Config, resolve

__all__ = ["Config", "resolve"]
