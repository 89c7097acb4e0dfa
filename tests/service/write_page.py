"""Write the tables of docs/reference/service.md: `python -m tests.service.write_page`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.service.catalogue import render_tables

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "service.md"
_MARK: Final = "<!-- The tables are written by `python -m tests.service.write_page`. -->\n"


def render_page() -> str:
    """Return the page with current tables."""
    text, mark, _ = PAGE.read_text(encoding="utf-8").partition(_MARK)
    return text + mark + "\n" + render_tables()


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
