"""Fills placeholders such as ``<!--backend_badge-->`` in a rendered page.

The content describes the current response, even if the page itself was read from the cache.
"""

from __future__ import annotations

from django.http import HttpResponse
from django.template.loader import render_to_string


def fill_placeholder(response: HttpResponse, name: str, **context: object) -> HttpResponse:
    """Replace ``<!--name-->`` with the rendered template ``example/name.html``."""
    placeholder = f"<!--{name}-->".encode()
    if not response.streaming and placeholder in response.content:
        content = render_to_string(f"example/{name}.html", context)
        response.content = response.content.replace(placeholder, content.encode())
    return response
