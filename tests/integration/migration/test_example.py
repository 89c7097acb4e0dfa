"""The example site's rollout page, without a server process."""

from __future__ import annotations

import os
import subprocess
import sys

REQUESTS = """
import django
django.setup()
import re
from django.test import Client
client = Client(SERVER_NAME="localhost")

def show(response):
    page = response.content.decode()
    counts = re.findall(r"(\\d+) of 100 keys|number\\">(\\d+)<", page)
    print(response.status_code, *map("".join, counts))

def post(path, **data):
    return client.post(f"/rollout/{path}/", data, follow=True)

show(client.get("/rollout/"))
show(post("store"))
show(post("change", phase="canary", percent="25"))
show(post("read"))
show(post("change", phase="canary", percent="50"))
show(post("read"))
show(post("delete"))
show(post("change", phase="new_only", percent="50"))
show(post("change", phase="canary", percent="<b>"))
show(post("change", phase="off", percent="0"))
show(post("change", phase="canary", percent="5"))
"""


def test_the_slider_selects_the_keys_of_the_new_cache(emulator):
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
    # Status, keys that are read from the new cache, values in the old cache, in the new one.
    assert done.stdout.splitlines() == [
        "200 0 0 0",
        "200 0 100 0",
        "200 27 100 0",
        "200 27 100 27",
        "200 51 100 27",
        "200 51 100 51",
        "200 51 0 0",
        "400 51 0 0",
        "400 51 0 0",
        "200 0 0 0",
        "409 0 0 0",
    ], done.stderr
