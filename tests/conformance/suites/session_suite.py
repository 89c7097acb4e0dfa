"""Copied to tests/sessions_tests of Django: its session tests against the configured engine."""

from __future__ import annotations

import importlib

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.test import TestCase, override_settings
from recording import CONFIG, Recorded
from sessions_tests import tests

ENGINE = importlib.import_module(CONFIG["engine"]).SessionStore
BASES = {
    "mixin": (tests.SessionTestsMixin, TestCase),
    "cache": (tests.CacheSessionTests,),
    "cached_db": (tests.CacheDBSessionTests,),
    "db": (tests.DatabaseSessionTests,),
}


class EngineTests(Recorded):
    def setUp(self):
        super().setUp()
        reads_the_table = self._testMethodName == "test_empty_session_saved"
        if reads_the_table and not issubclass(ENGINE, DatabaseStore):
            self.skipTest("it reads the table django_session")


class ThirdPartyEngineTests(EngineTests, *BASES[CONFIG["session_base"]]):
    backend = ENGINE
    session_engine = CONFIG["engine"]


@override_settings(SESSION_ENGINE=CONFIG["engine"])
class ThirdPartyEngineMiddlewareTests(EngineTests, tests.SessionMiddlewareTests):
    pass
