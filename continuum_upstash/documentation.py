"""Addresses of the documentation's pages, for hints: a wheel does not contain docs/."""

from __future__ import annotations

from typing import Final

# The same as in [project.urls] of pyproject.toml.
SITE: Final = "https://continuum-upstash.readthedocs.io/en/stable/"


def link_to(page: str, section: str = "") -> str:
    """Return the URL of a page.

    Args:
        page: its path below docs/, without the suffix: "reference/checks".
        section: the anchor of a heading, such as "w003".
    """
    return f"{SITE}{page}.html{'#' if section else ''}{section}"
