"""The messages of enqueues: one subscription for all queues of a worker."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

from continuum_upstash.errors import ConfigurationError, ContinuumError
from continuum_upstash.federation.database import FederationDatabase
from continuum_upstash.federation.worker.options import MIN_SUBSCRIBED_SECONDS
from continuum_upstash.observe import logger
from continuum_upstash.transports.subscriptions.subscription import Subscription

_FIRST_PAUSE: Final = 1.0  # seconds


class WakeListener(threading.Thread):
    """A thread that subscribes to the channels of queues, again whenever the subscription ends.

    A subscription is billed once. After several that were short, the next one waits for up to five
    minutes; until then the worker polls.

    Args:
        database: where the channels are.
        wake: by channel; called in this thread for each message, and all of them when a
            subscription has begun: what was published before it is lost.

    Attributes:
        is_subscribed: whether messages arrive now.
    """

    def __init__(
        self, database: FederationDatabase, wake: Mapping[str, Callable[[], None]]
    ) -> None:
        super().__init__(name="federation-wake", daemon=True)
        self._database, self._wake = database, wake
        self._stopped = threading.Event()
        self._subscription: Subscription | None = None
        self.is_subscribed = False

    def run(self) -> None:
        pause, is_logged = _FIRST_PAUSE, False
        while not self._stopped.is_set():
            started = monotonic()
            try:
                self._listen()
            except (ConfigurationError, ValueError) as error:
                logger.warning(
                    "wake-up subscription not possible, the worker polls instead: %s", error
                )
                return
            except (ContinuumError, OSError) as error:
                if not is_logged and not self._stopped.is_set():
                    logger.info(
                        "wake-up subscription ended, the worker polls and reconnects: %s", error
                    )
                is_logged = True
            finally:
                self.is_subscribed = False
            if monotonic() - started >= MIN_SUBSCRIBED_SECONDS:
                pause, is_logged = _FIRST_PAUSE, False
            self._stopped.wait(pause * random.uniform(0.8, 1.2))  # noqa: S311 no secret
            pause = min(pause * 3, MIN_SUBSCRIBED_SECONDS)

    def _listen(self) -> None:
        with self._database.database.subscribe(*self._wake) as subscription:
            self._subscription = subscription
            if self._stopped.is_set():
                return
            self.is_subscribed = True
            for wake in self._wake.values():
                wake()
            for message in subscription:
                found = self._wake.get(message.channel)
                if found is not None:
                    found()

    def stop(self) -> None:
        """End the thread; does not wait for it."""
        self._stopped.set()
        if self._subscription is not None:
            self._subscription.close()
