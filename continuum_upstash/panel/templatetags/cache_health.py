"""Filters of the panel's templates."""

from __future__ import annotations

from django import template

from continuum_upstash.panel import formatting
from continuum_upstash.stats.key_families import NO_FAMILY

register = template.Library()
register.filter("count", formatting.count)
register.filter("milliseconds", formatting.milliseconds)
register.filter("percentage", formatting.percentage)
register.filter("moment", formatting.moment)


@register.filter
def bar_width(share: float) -> str:
    """Return a share of a box 100 wide; as text, since SVG knows no decimal comma."""
    return f"{100 * min(share, 1.0):.1f}"


@register.filter
def has_family(name: str) -> bool:
    """Return whether a family can be named: keys that begin with a colon have one without name."""
    return name not in {NO_FAMILY, ":"}
