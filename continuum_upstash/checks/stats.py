"""What the settings say wrong about statistics: nothing that would keep the site from running."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from django.core.checks import CheckMessage

from continuum_upstash.checks.catalogue import message
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.stats.conf import FOLDER, lacking, reject_wrong, setting, shut
from continuum_upstash.stats.pricing import plan_of


def check_statistics(aliases: Iterable[str]) -> Iterator[CheckMessage]:
    """Check ``CONTINUUM_STATS``, and what its entries need."""
    try:
        reject_wrong()
        for alias in aliases:
            plan_of(alias)
    except ConfigurationError as error:
        yield message("E006", str(error))
    for name, package in lacking().items():
        text = f"CONTINUUM_STATS['{name}'] is on, but {package} is not installed:"
        text = f"{text} pip install 'continuum-upstash[{name.lower()}]'"
        yield message("E007", text)
    if setting("PROMETHEUS") and shut():
        text = f"{FOLDER} is {os.environ[FOLDER]!r}, where this process cannot write."
        yield message("E009", text)
