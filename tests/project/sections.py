"""The anchors of a page of the documentation."""

from __future__ import annotations

import re
from pathlib import Path


def list_sections(page: Path) -> set[str]:
    """The anchors of a page's headings, as MyST makes them."""
    headings = re.findall(r"^#{1,3} (.*)$", page.read_text(), re.MULTILINE)
    targets = re.findall(r"^\((\S+)\)=$", page.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)
    return {*plain, *targets}
