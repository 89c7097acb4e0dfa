"""The HTML pages of refused requests.

They need no static file and no template directory, and they work under every
Content-Security-Policy: they contain no style sheet, only attributes of HTML and SVG. Browsers
choose the colours, light or dark, by ``color-scheme``.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from django.conf import settings
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.translation import (
    get_language,
    get_language_bidi,
    get_language_from_request,
    ngettext,
    override,
)
from django.utils.translation import gettext as _

_MINUTE = 60
_PAGE = """<!doctype html>
<html lang="{language}" dir="{direction}">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>{title}</title>
</head>
<body>
<main><div align="center"><font face="system-ui, sans-serif">
  <p><br><svg width="72" height="72" viewBox="0 0 24 24" fill="none" stroke="currentColor" \
stroke-width="1.5" stroke-linecap="round" aria-hidden="true">\
<circle cx="12" cy="12" r="10" stroke="#d97706"/><path d="M12 6v6l4 2"/></svg></p>
  <h1>{title}</h1>
{paragraphs}
</font></div></main>
</body>
</html>
"""


def render_refused_page(request: HttpRequest, seconds: int, *, is_unavailable: bool) -> str:
    """Return the page of a request that a rate limit refuses.

    Args:
        request: its language is used.
        seconds: after which the request may be repeated.
        is_unavailable: whether it is refused because the rate limiter is unavailable.
    """
    with override(_select_language(request)):
        if is_unavailable:
            title = _("Service temporarily unavailable")
            text = _("This site cannot process your request at the moment.")
        else:
            title = _("Too many requests")
            text = _("You have sent too many requests in a short time.")
        return _render(title, (text, _ask_to_wait(seconds)))


def render_session_page(request: HttpRequest, seconds: int) -> str:
    """Return the page of a request whose session is unavailable.

    The response needs the header Refresh, which makes a browser reload the page.

    Args:
        request: its language is used.
        seconds: after which the page reloads.
    """
    with override(_select_language(request)):
        texts = (
            _("This page is temporarily unavailable. You have not been logged out."),
            ngettext(
                "The page reloads automatically in %(seconds)d second.",
                "The page reloads automatically in %(seconds)d seconds.",
                seconds,
            )
            % {"seconds": seconds},
        )
        return _render(_("Back in a moment"), texts)


def _ask_to_wait(seconds: int) -> str:
    if seconds < 2 * _MINUTE:
        text = ngettext(
            "Please try again in %(seconds)d second.",
            "Please try again in %(seconds)d seconds.",
            seconds,
        )
        return text % {"seconds": seconds}
    minutes = ceil(seconds / _MINUTE)
    text = ngettext(
        "Please try again in %(minutes)d minute.",
        "Please try again in %(minutes)d minutes.",
        minutes,
    )
    return text % {"minutes": minutes}


def _render(title: str, paragraphs: Iterable[str]) -> str:
    return format_html(
        _PAGE,
        language=get_language() or settings.LANGUAGE_CODE,
        direction="rtl" if get_language_bidi() else "ltr",
        title=title,
        paragraphs=format_html_join("\n", "  <p>{}</p>", ((each,) for each in paragraphs)),
    )


def _select_language(request: HttpRequest) -> str | None:
    """Return the language of the request, also before LocaleMiddleware has activated it."""
    if "django.middleware.locale.LocaleMiddleware" in settings.MIDDLEWARE:
        return get_language_from_request(request)
    return get_language()
