"""Calls in greenlets that gevent's time-outs interrupt; prints what became of them.

Arguments: `rest` or `redis`, the URL, and how many time-outs to provoke.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from collections import Counter

POOL_SIZE = 10
GREENLETS = 15
LONGEST = 0.008  # seconds until a time-out


def main(mode: str, url: str, count: int) -> None:
    from gevent import joinall, monkey, spawn  # noqa: PLC0415 it comes before all other imports

    monkey.patch_all()
    from gevent import Timeout  # noqa: PLC0415 as above

    from tests.integration.interruption.echo_transports import make  # noqa: PLC0415 as above
    from tests.pool_slots import count_free  # noqa: PLC0415 as above

    transport, pool, echo = make(mode, url, pool_size=POOL_SIZE)
    numbers, outcomes = itertools.count(), Counter[str]()

    def work() -> None:
        while outcomes["timeouts"] < count:
            number = next(numbers)
            try:
                with Timeout(random.uniform(0, LONGEST)):
                    outcomes["right" if echo(number) else "wrong"] += 1
            except Timeout:
                outcomes["timeouts"] += 1
            except Exception as error:
                outcomes[f"{type(error).__name__}: {error}"] += 1

    joinall([spawn(work) for _ in range(GREENLETS)], raise_error=True)
    free, is_free = count_free(pool), all(echo(next(numbers)) for _ in range(3 * POOL_SIZE))
    transport.close()
    json.dump({"outcomes": outcomes, "free": free, "later calls are right": is_free}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
