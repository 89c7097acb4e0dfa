"""Checks of CONTINUUM_LIVE, if it is set."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.utils.translation import gettext

from continuum_upstash.checks.catalogue import check_message
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.federation.live.conf import SETTING, LiveSettings
from continuum_upstash.health.probe import list_upstash_aliases


def check_live_pages(**_: Any) -> list[CheckMessage]:
    """Check the entries of CONTINUUM_LIVE, and the cache that it names."""
    if not hasattr(settings, SETTING):
        return []
    conf = LiveSettings()
    try:
        conf.validate()
    except ConfigurationError as error:
        return [check_message("E401", str(error))]
    if conf.using in list_upstash_aliases():
        return []
    text = gettext("USING is '{alias}', which is no cache of this package.")
    return [check_message("E402", f"{SETTING}: {text.format(alias=conf.using)}")]
