"""The list of pages, also for templates that are rendered without a request."""

from __future__ import annotations

from django import template

from example_project.pages import PAGES, Page

register = template.Library()


@register.simple_tag
def get_site_pages() -> tuple[Page, ...]:
    return PAGES
