"""Many callers at once on a small pool, in threads or greenlets; prints what each kind of call got.

Arguments: `threads` or `gevent`, and the client's arguments as JSON.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

CALLERS = 300


def main(scheduler: str, arguments: str) -> None:
    if scheduler == "gevent":
        from gevent import monkey  # noqa: PLC0415 it comes before all other imports

        monkey.patch_all()
    from continuum_upstash import UpstashCache  # noqa: PLC0415 as above
    from continuum_upstash.transports.registry import list_databases  # noqa: PLC0415 as above

    with UpstashCache(**json.loads(arguments)) as client:
        results = run_all(client)
        (database,) = list_databases()
        status = database.status
    json.dump(
        {
            "results": {name: dict(counts) for name, counts in results.items()},
            "state": status.state,
            "local_replies": status.local_replies,
            "dirty_keys": status.dirty_keys,
            "pool_exhausted": status.pool_exhausted,
        },
        sys.stdout,
    )


def run_all(client: Any) -> dict[str, Counter[str]]:
    import threading  # noqa: PLC0415 as in main

    from continuum_upstash.plans.effects import call  # noqa: PLC0415 as in main

    calls = {
        "add": lambda: client.run(call("SET", "leader", "me", "NX")) is not None,
        "get": lambda: client.get("present"),
        "incr": lambda: client.incr("counter"),
    }
    results: dict[str, Counter[str]] = {name: Counter() for name in calls}

    def run(name: str) -> None:
        try:
            result = str(calls[name]())
        except Exception as error:
            result = type(error).__name__
        results[name][result] += 1

    names = [*calls] * (CALLERS // len(calls))
    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


if __name__ == "__main__":
    main(*sys.argv[1:])
