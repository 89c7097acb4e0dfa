"""Text of unknown origin: characters that are invisible or change the direction become visible."""

from __future__ import annotations

from itertools import groupby

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

LINES = "\n\t"
"""The characters that a text of several lines keeps."""


def escape_text(text: str, keep: str = "") -> str:
    """Return the text with Python's escapes for control, bidi and other unprintable characters."""
    return "".join(each for each, _ in _split(text, keep))


def show_text(text: str, keep: str = "") -> SafeString:
    """Return the text as HTML, with the escapes marked: a backslash of the text itself is not."""
    return format_html_join(
        "",
        "{}{}{}",
        (
            (SafeString('<span class="ck-mark">'), part, SafeString("</span>"))
            if is_escape
            else (SafeString(""), part, SafeString(""))
            for part, is_escape in _split(text, keep)
        ),
    )


def dump_bytes(data: bytes, width: int = 16) -> str:
    """Return bytes as lines: their offset, hexadecimal digits and printable ASCII."""
    lines = []
    for start in range(0, len(data), width):
        line = data[start : start + width]
        text = "".join(chr(each) if 0x20 <= each < 0x7F else "." for each in line)
        lines.append(f"{start:04x}  {line.hex(' '):<{3 * width}} {text}")
    return "\n".join(lines)


def _split(text: str, keep: str) -> list[tuple[str, bool]]:
    """Return the parts of a text, and whether each consists of escapes."""
    parts = []
    for is_plain, characters in groupby(text, lambda each: each.isprintable() or each in keep):
        part = "".join(characters)
        parts.append((part if is_plain else _escape(part), not is_plain))
    return parts


def _escape(part: str) -> str:
    return part.encode("unicode_escape", "surrogatepass").decode("ascii")
