"""CONTINUUM_RATELIMIT, as the package reads it."""

from __future__ import annotations

import pytest
from django.test import override_settings

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.conf import conf


def test_changed_settings_are_read_again():
    with override_settings(CONTINUUM_RATELIMIT={"POLICIES": {"api": {"rate": "3/d"}}}):
        assert conf.get_policy("api").limit == 3
    with pytest.raises(ConfigurationError, match="no policy 'api'"):
        conf.get_policy("api")
