"""Filters of the panel's templates."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from continuum_upstash.health.quantities import (
    format_count,
    format_milliseconds,
    format_percentage,
)
from continuum_upstash.panel.formatting import to_local_datetime
from continuum_upstash.panel.key_browser.durations import format_ttl
from continuum_upstash.panel.key_browser.values import visible_text
from continuum_upstash.stats.key_families import NO_FAMILY

_DUMPED_BYTES = 256

register = template.Library()
register.filter("count", format_count)
register.filter("milliseconds", format_milliseconds)
register.filter("percentage", format_percentage)
register.filter("local_datetime", to_local_datetime)
register.filter("ttl", format_ttl)
register.filter("escape_text", visible_text.escape_text)
register.filter("visible", visible_text.show_text)


@register.filter
def bar_width(share: float) -> str:
    """Return a fraction of a width of 100, with a decimal point as SVG requires."""
    return f"{100 * min(share, 1.0):.1f}"


@register.filter
def has_family(name: str) -> bool:
    """Return whether a family has a name; that of keys which begin with a colon is empty."""
    return name not in {NO_FAMILY, ":"}


@register.filter
def visible_lines(text: str) -> SafeString:
    """Return a text of several lines with its control characters marked."""
    return visible_text.show_text(text, visible_text.LINES)


@register.filter
def first_bytes(data: bytes) -> str:
    """Return the first bytes as a hexadecimal dump."""
    return visible_text.dump_bytes(data[:_DUMPED_BYTES])
