"""Filters of the panel's templates."""

from __future__ import annotations

from django import template

from continuum_upstash.panel import texts
from continuum_upstash.stats.key_families import ALONE

register = template.Library()
register.filter("count", texts.count)
register.filter("milliseconds", texts.milliseconds)
register.filter("percentage", texts.percentage)
register.filter("moment", texts.moment)


@register.filter
def bar_width(share: float) -> str:
    """Return a share of a box 100 wide; as text, since SVG knows no decimal comma."""
    return f"{100 * min(share, 1.0):.1f}"


@register.filter
def has_family(name: str) -> bool:
    """Return whether a family can be named: keys that begin with a colon have one without name."""
    return name not in {ALONE, ":"}
