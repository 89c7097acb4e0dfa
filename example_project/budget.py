"""The budget of the cost page, which the page changes while the site runs."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from example_project.data_folder import DATA_FOLDER

DEFAULT: Final = 1_000_000  # commands a month
_FILE: Final = DATA_FOLDER / "budget"


def read_budget() -> int:
    """Return the commands of a month; the cache calls this again each second."""
    with suppress(OSError, ValueError):
        return int(_FILE.read_text())
    return DEFAULT


def write_budget(commands: int) -> None:
    _FILE.write_text(str(commands))
