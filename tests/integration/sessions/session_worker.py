"""A worker process that saves one session in a loop until it is killed.

python -m tests.integration.sessions.session_worker '{"cache": {…}, "key": "…", "action": "save"}'

It prints a line after each round.
"""

from __future__ import annotations

import json
import sys

import django
from django.conf import settings

PAYLOAD = "x" * 20_000


def main(cache, key, action):
    settings.configure(
        SECRET_KEY="only-for-tests",
        CACHES={"default": cache},
        SESSION_ENGINE="continuum_upstash.sessions",
        SESSION_MERGE=action == "merge",
    )
    django.setup()
    from continuum_upstash.sessions import SessionStore  # noqa: PLC0415 needs the settings

    session = SessionStore(key)
    while True:
        session["round"] += 1
        session["payload"] = f"{PAYLOAD}{session['round']}"
        session.cycle_key() if action == "cycle" else session.save()
        print(session["round"], flush=True)  # noqa: T201 the test reads it


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
