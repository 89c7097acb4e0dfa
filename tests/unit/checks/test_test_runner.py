"""Django's test runner, in a project without credentials."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SETTINGS = """
SECRET_KEY = "only-for-tests"
DEBUG = True
INSTALLED_APPS = ["continuum_upstash"]
CACHES = {"default": {"BACKEND": "continuum_upstash.backend.CacheBackend"}}
"""

TEST = """
from django.core.cache import cache
from django.test import SimpleTestCase

class CacheTest(SimpleTestCase):
    def test_cache(self):
        cache.set("k", 1)
        assert cache.get("k") == 1
"""


@pytest.mark.parametrize("debug", [True, False])
def test_missing_credentials_do_not_stop_the_test_runner(tmp_path, debug):
    (tmp_path / "shop_settings.py").write_text(SETTINGS.replace("True", str(debug)))
    (tmp_path / "test_shop.py").write_text(TEST)
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "DJANGO_SETTINGS_MODULE": "shop_settings",
    }
    done = subprocess.run(
        [sys.executable, "-m", "django", "test"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "continuum_upstash.W001" in done.stderr
    assert "Ran 1 test" in done.stderr
