"""Replaces the conftest of django-redis' tests: one variant of the settings, and a record.

django-redis' tests read two private attributes of its client to choose what they expect: whether
datetimes survive, for example. A client without them gets their values; nothing else is added.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest import mock

import django
import pytest
from django.conf import settings as django_settings
from django.core.cache import cache as default_cache
from django.utils.module_loading import import_string
from tests.settings_wrapper import SettingsWrapper

OUTCOMES = {}
PICKLE = "django_redis.serializers.pickle.PickleSerializer"


class Mocker:
    """The part of pytest-mock that the tests use."""

    def __init__(self):
        self.patch = self
        self._patches = []

    def object(self, *args, **kwargs):
        self._patches.append(mock.patch.object(*args, **kwargs))
        return self._patches[-1].start()

    def stop(self):
        for each in self._patches:
            each.stop()


@pytest.fixture
def mocker():
    mocker = Mocker()
    yield mocker
    mocker.stop()


@pytest.fixture
def settings():
    wrapper = SettingsWrapper()
    yield wrapper
    wrapper.finalize()


@pytest.fixture
def cache():
    options = django_settings.CACHES["default"]["OPTIONS"]
    client = default_cache.client
    if not hasattr(client, "_serializer"):
        client._serializer = import_string(options.get("SERIALIZER", PICKLE))(options=options)
        client._has_compression_enabled = lambda: "COMPRESSOR" in options
    yield default_cache
    default_cache.clear()


def pytest_configure():
    django.setup()


def pytest_runtest_logreport(report):
    name = report.nodeid.partition("/")[2]
    if report.when == "call" or report.outcome != "passed":
        OUTCOMES.setdefault(name, report.outcome)


def pytest_sessionfinish():
    Path(os.environ["DJANGO_REDIS_LOG"]).write_text(json.dumps(OUTCOMES))
