"""The pages, for templates that are rendered without a request, too."""

from __future__ import annotations

from django import template

from example_project.pages import PAGES, Page

register = template.Library()


@register.simple_tag
def site_pages() -> tuple[Page, ...]:
    return PAGES
