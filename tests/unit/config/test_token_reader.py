"""Tokens that may change: what the callable TOKEN may return, and what happens if it fails."""

from __future__ import annotations

import asyncio
import functools
import traceback
import warnings

import pytest

from continuum_upstash.config import token_reader
from continuum_upstash.config.resolve import resolve
from continuum_upstash.config.token_reader import TokenReader
from continuum_upstash.errors import ConfigurationError, Unavailable


@pytest.fixture(params=["sync", "async"])
def read(request):
    """Return a function that reads the token of a callable, sync or async."""

    def read_token(function, timeout=2.0):
        options = {"TOKEN": function, "READ_TIMEOUT": timeout}
        config = resolve(options, {}, location="https://db.upstash.io")
        reader = TokenReader(config.token, config)
        return reader.read() if request.param == "sync" else asyncio.run(reader.aread())

    return read_token


@pytest.mark.parametrize("result", ["tok", "tok\n", '"tok"', " 'tok' \r\n"])
def test_white_space_and_quotes_are_removed(read, result):
    assert read(lambda: result) == "tok"


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("", "the result of the callable TOKEN must not be empty"),
        (" '' ", "must not be empty"),
        (None, "TOKEN must be a string, not NoneType"),
        (b"s3cret", "TOKEN must be a string, not bytes"),
        (5, "TOKEN must be a string, not int"),
        (lambda: "s3cret", "TOKEN must be a string, not function"),
        ("s3cret\r\nX: y", "characters that tokens do not have"),
        ("s3cret\x00", "characters that tokens do not have"),
        ("s3crét", "characters that tokens do not have"),
        ("two s3crets", "characters that tokens do not have"),
    ],
)
def test_a_result_that_is_no_token_is_a_configuration_error(read, result, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        read(lambda: result)
    assert str(caught.value).startswith("cache 'default' (rest, db.upstash.io): ")
    assert "s3cr" not in str(caught.value)
    # Django's error pages and mails show the local variables of each frame.
    frames = [frame for frame, _ in traceback.walk_tb(caught.tb)]
    own = [each for each in frames if each.f_code.co_filename == token_reader.__file__]
    assert own
    assert "s3cr" not in str([each.f_locals for each in own])


@pytest.mark.parametrize(
    "error", [ValueError("s3cret"), KeyError("TOKEN"), StopIteration(), OSError(5, "s3cret")]
)
def test_an_exception_of_the_callable_is_an_outage(read, error):
    def fail():
        raise error

    with pytest.raises(Unavailable, match=f"the callable TOKEN raised {type(error).__name__}"):
        read(fail)


def test_an_interruption_of_the_callable_is_raised(read):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read(interrupt)


class Awaited:
    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return "tok"


async def fetch_token(token="tok"):
    await asyncio.sleep(0)
    return token


@pytest.mark.parametrize("function", [fetch_token, functools.partial(fetch_token, "tok"), Awaited])
def test_a_coroutine_function_is_for_async_calls(function):
    config = resolve({"TOKEN": function}, {}, location="https://db.upstash.io")
    reader = TokenReader(config.token, config)
    assert asyncio.run(reader.aread()) == "tok"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a coroutine that was never awaited
        with pytest.raises(ConfigurationError, match="TOKEN is a coroutine function"):
            reader.read()


def test_a_coroutine_is_awaited_for_read_timeout_at_most():
    async def hang():
        await asyncio.sleep(60)

    config = resolve({"TOKEN": hang, "READ_TIMEOUT": 0.02}, {}, location="https://db.upstash.io")
    with pytest.raises(Unavailable, match="the callable TOKEN raised TimeoutError"):
        asyncio.run(TokenReader(config.token, config).aread())


def test_a_cancelled_call_stays_cancelled():
    async def cancel():
        raise asyncio.CancelledError

    config = resolve({"TOKEN": cancel}, {}, location="https://db.upstash.io")
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(TokenReader(config.token, config).aread())
