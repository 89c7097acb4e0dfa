"""What a mode needs is imported when the client is made.

A process that forks while another thread imports a module gives its child a locked import.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
from continuum_upstash import UpstashCache
client = UpstashCache(**json.loads(sys.argv[1]))
before = set(sys.modules)
client.set("k", {"a": 1})
client.get("k")
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize("mode", ["rest", "redis", "local"])
def test_the_first_call_imports_nothing(emulator, mode):
    arguments = {
        "rest": {"rest_url": emulator.rest_url, "rest_token": emulator.token},
        "redis": {"redis_url": emulator.redis_url},
        "local": {"mode": "local"},
    }[mode]
    command = [sys.executable, "-c", PROGRAM, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    # The codec of host names belongs to Python, which loads it by name.
    assert set(done.stdout.split()) <= {"encodings.idna", "stringprep", "unicodedata"}
