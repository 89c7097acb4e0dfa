"""Fills places of a finished page, such as ``<!--served-->``.

What is filled in belongs to this response, also when the page around it came out of the cache.
"""

from __future__ import annotations

from django.http import HttpResponse
from django.template.loader import render_to_string


def stamp(response: HttpResponse, place: str, **context: object) -> HttpResponse:
    """Replace ``<!--place-->`` by the template ``example/place.html``."""
    marker = f"<!--{place}-->".encode()
    if not response.streaming and marker in response.content:
        filling = render_to_string(f"example/{place}.html", context)
        response.content = response.content.replace(marker, filling.encode())
    return response
