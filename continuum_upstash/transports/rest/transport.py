"""The sync transport over Upstash's REST API."""

from __future__ import annotations

from continuum_upstash.config.resolve import Config
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.rest import sync_token
from continuum_upstash.transports.rest.http11 import Endpoint
from continuum_upstash.transports.rest.http_client import sender_for
from continuum_upstash.transports.rest.requests import request_for
from continuum_upstash.transports.rest.responses import replies


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
        tokens = sync_token.current()
        database = self._endpoint.url
        answer = self._sender.exchange(request, tokens.get(database), batch)
        tokens.learn(database, answer.headers.get(sync_token.HEADER))
        return replies(answer, request, batch.commands, self._endpoint.label)

    def close(self) -> None:
        self._sender.close()
