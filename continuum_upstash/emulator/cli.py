"""The command line, shared by `manage.py upstash_emulator` and `python -m`."""

import argparse
import asyncio
from dataclasses import fields
from typing import Any

from continuum_upstash.emulator.faults.model import Fault, Faults
from continuum_upstash.emulator.options import BadOption, Options
from continuum_upstash.emulator.redis.connection import UpstreamError
from continuum_upstash.emulator.redis.embedded_valkey import ValkeyUnavailable


class CannotStart(Exception):
    """The emulator cannot run; the message says what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    defaults = Options()
    add = parser.add_argument
    add("--host", default=defaults.host, help="address to listen on (default %(default)s)")
    add("--port", type=int, default=defaults.port, help="REST port; 0: any free one")
    add("--redis-port", type=int, default=0, help="port of the TCP side (default: any free one)")
    add("--control-port", type=int, default=0, help="port of the private side")
    add("--token", default=defaults.token, help="REST token (default: a new random one)")
    add("--read-only-token", default=defaults.read_only_token, help="REST token for reads only")
    add("--redis-url", default="", help="a running Redis or Valkey instead of the embedded one")
    add("--max-data-size", type=int, default=defaults.max_data_size, help="bytes")
    add("--max-request-size", type=int, default=defaults.max_request_size, help="bytes")
    add("--keep-alive", type=int, default=defaults.keep_alive, help="seconds of an idle connection")
    add("--ssl-certfile", default="", help="serve TLS on both public ports")
    add("--ssl-keyfile", default="")
    add(
        "--eviction",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="evict keys when full, as a database with eviction on",
    )
    add(
        "--fault",
        action="append",
        default=[],
        metavar="KIND[:NAME=VALUE,…]",
        help="start with a fault, for example latency:seconds=0.2,jitter=0.05 (repeatable)",
    )
    add("--until-stdin-closes", action="store_true", help="stop when standard input ends")


def run(arguments: dict[str, Any]) -> None:
    """Serve until SIGTERM or SIGINT. Raises CannotStart."""
    try:
        # The extra, which --help does without.
        from continuum_upstash.emulator import listeners, server  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CannotStart(
            f"the package {error.name} is not installed: pip install 'continuum-upstash[emulator]'"
        ) from error
    names = {option.name for option in fields(Options)}
    faults = Faults()
    try:
        options = Options(**{name: value for name, value in arguments.items() if name in names})
        for text in arguments["fault"]:
            faults.add(_fault(text))
        until = arguments["until_stdin_closes"]
        asyncio.run(server.serve(options, faults, until_stdin_closes=until))
    except (BadOption, listeners.PortTaken, UpstreamError, ValkeyUnavailable) as error:
        raise CannotStart(str(error)) from error


def _fault(text: str) -> Fault:
    kind, _, options = text.partition(":")
    pairs = (option.partition("=") for option in options.split(",") if option)
    return Fault.read({"kind": kind} | {name: value for name, _, value in pairs})
