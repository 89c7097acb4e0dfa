"""An exception that a signal handler raises inside the parser arrives as it is."""

from __future__ import annotations

import pytest

from continuum_upstash.transports.rest.http11 import ResponseParser


class SoftTimeLimit(BaseException):
    """What a task queue raises from a signal handler."""


@pytest.mark.parametrize(
    "method", ["on_message_begin", "on_headers_complete", "on_message_complete"]
)
def test_an_exception_inside_the_parser_is_not_taken_for_invalid_http(monkeypatch, method):
    def interrupt(_parser):
        raise SoftTimeLimit

    monkeypatch.setattr(ResponseParser, method, interrupt)
    parser = ResponseParser("db")
    with pytest.raises(SoftTimeLimit):
        parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
