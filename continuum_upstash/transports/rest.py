"""The sync transport over Upstash's REST API."""

from __future__ import annotations

from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports import synctoken
from continuum_upstash.transports.answers import replies
from continuum_upstash.transports.forms import request_for
from continuum_upstash.transports.senders import sender_for
from continuum_upstash.transports.wire import Endpoint


class Rest:
    """Sends each batch as one HTTP request; one object serves all threads of a process.

    A batch is sent a second time only when the kept connection proved closed before it was
    written, or when running it twice is running it once (`idempotent.py`).
    """

    name = "upstash-rest"

    def __init__(self, config: Config) -> None:
        self._endpoint = Endpoint(config)
        self._sender = sender_for(config, self._endpoint)

    def send(self, batch: Batch) -> Replies:
        request = request_for(batch)
        tokens = synctoken.current()
        database = self._endpoint.url
        answer = self._sender.exchange(request, tokens.get(database), batch)
        tokens.learn(database, answer.headers.get(synctoken.HEADER))
        return replies(answer, request, batch.commands, self._endpoint.label)

    def close(self) -> None:
        self._sender.close()
