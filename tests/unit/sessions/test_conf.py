from __future__ import annotations

import subprocess
import sys

import pytest

from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.fallback.fallback_sessions import FallbackSessions
from continuum_upstash.sessions.merge import MergingSessionPlans
from continuum_upstash.sessions.plans import SessionPlans

DATABASE_ENGINE = "django.contrib.sessions.backends.db"


@pytest.mark.parametrize(
    ("merge", "fallback_engine", "plans_class", "redis_plans_class"),
    [
        (False, None, SessionPlans, SessionPlans),
        (True, None, MergingSessionPlans, MergingSessionPlans),
        (False, DATABASE_ENGINE, FallbackSessions, SessionPlans),
        (True, DATABASE_ENGINE, FallbackSessions, MergingSessionPlans),
    ],
)
def test_the_plans_are_chosen_by_the_settings(
    merge, fallback_engine, plans_class, redis_plans_class, settings
):
    settings.SESSION_MERGE, settings.SESSION_FALLBACK_ENGINE = merge, fallback_engine
    assert conf.plans_class is plans_class
    assert conf.redis_plans_class is redis_plans_class


def test_a_setting_that_a_test_overrides_is_read_again(settings):
    assert conf.user_index is True
    settings.SESSION_USER_INDEX = False
    assert conf.user_index is False


def test_an_option_that_is_off_imports_nothing():
    script = (
        "import sys; from django.conf import settings\n"
        "settings.configure(SECRET_KEY='only-for-tests',"
        "CACHES={'default': {'BACKEND': 'continuum_upstash.backend.CacheBackend', 'LOCATION': '',"
        "'OPTIONS': {'MODE': 'local'}}}, SESSION_ALLOW_EVICTION=True)\n"
        "from continuum_upstash.sessions import SessionStore\n"
        "session = SessionStore(); session['theme'] = 'dark'; session.save()\n"
        "prefix = 'continuum_upstash.sessions.'\n"
        "print(*sorted(m.removeprefix(prefix) for m in sys.modules if m.startswith(prefix)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.stderr == ""
    modules = run.stdout.split()
    assert "plans" in modules
    assert not {"merge", "fallback"} & set(modules)
