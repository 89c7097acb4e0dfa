"""Filters of the panel's templates."""

from __future__ import annotations

from django import template

from continuum_upstash.panel import formatting
from continuum_upstash.stats.key_families import NO_FAMILY

register = template.Library()
register.filter("count", formatting.format_count)
register.filter("milliseconds", formatting.format_milliseconds)
register.filter("percentage", formatting.format_percentage)
register.filter("local_datetime", formatting.to_local_datetime)


@register.filter
def bar_width(share: float) -> str:
    """Return a fraction of a width of 100, with a decimal point as SVG requires."""
    return f"{100 * min(share, 1.0):.1f}"


@register.filter
def has_family(name: str) -> bool:
    """Return whether a family has a name; that of keys which begin with a colon is empty."""
    return name not in {NO_FAMILY, ":"}
