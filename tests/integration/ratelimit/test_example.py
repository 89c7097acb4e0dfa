"""The example site's page of limits, without a server process."""

from __future__ import annotations

import os
import subprocess
import sys

REQUESTS = """
import django
django.setup()
from django.test import Client
client = Client(SERVER_NAME="localhost")
page = client.get("/limits/")
assert page.status_code == 200 and b"Call the API" in page.content, page.content
responses = [client.get("/limits/search/") for _ in range(4)]
print(*[each.status_code for each in responses], responses[0]["RateLimit"].split(";t=")[0])
print(client.get("/limits/api/").status_code)
"""


def test_the_search_is_limited_and_the_api_is_not(emulator, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REQUESTS],
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "UPSTASH_REDIS_REST_URL": emulator.rest_url,
            "UPSTASH_REDIS_REST_TOKEN": emulator.token,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ['200 200 200 429 "search";r=2', "200"], done.stderr
