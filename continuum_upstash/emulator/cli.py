"""The command line of `manage.py upstash_emulator` and of `python -m`."""

import argparse
import asyncio
from dataclasses import fields
from typing import Any

from continuum_upstash.emulator.emulator_options import EmulatorOptions, InvalidOption
from continuum_upstash.emulator.faults.model import Fault, Faults
from continuum_upstash.emulator.profiles import PROFILES
from continuum_upstash.emulator.redis.embedded_valkey import ValkeyUnavailable
from continuum_upstash.emulator.redis.upstream import UpstreamError


class CannotStart(Exception):
    """The emulator cannot start; the message says how to solve this."""


def parse_port(text: str) -> int:
    """Return the number of a port; argparse shows the message of the error."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, a number from 0 to 65535")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    defaults = EmulatorOptions()
    add = parser.add_argument
    add("--host", default=defaults.host, help="address to listen on (default %(default)s)")
    add("--port", type=parse_port, default=defaults.port, help="REST port; 0: a free port")
    add("--redis-port", type=parse_port, default=0, help="TCP port (default: a free port)")
    add("--control-port", type=parse_port, default=0, help="control port (default: a free port)")
    add(
        "--qstash-port",
        type=parse_port,
        help="also simulate QStash, on this port; 0: a free port",
    )
    add("--profile", default=defaults.profile, choices=PROFILES, help="the database to simulate")
    add(
        "--token",
        default=defaults.token,
        help="REST token, and TCP password of the user default (default: random)",
    )
    add(
        "--read-only-token",
        default=defaults.read_only_token,
        help="REST token for reads only, and TCP password of the user default_ro",
    )
    add("--redis-url", default="", help="use this Redis or Valkey instead of an embedded one")
    add(
        "--max-data-size",
        type=int,
        default=defaults.max_data_size,
        help="maximum size of the data in bytes",
    )
    add(
        "--max-request-size",
        type=int,
        default=defaults.max_request_size,
        help="maximum size of a command's arguments and of a reply, in bytes",
    )
    _add_switches(parser)


def _add_switches(parser: argparse.ArgumentParser) -> None:
    defaults, add = EmulatorOptions(), parser.add_argument
    add(
        "--keep-alive",
        type=int,
        default=defaults.keep_alive,
        help="seconds before an idle HTTP connection is closed",
    )
    add("--ssl-certfile", default="", help="use TLS on the REST and the TCP port")
    add("--ssl-keyfile", default="")
    add(
        "--eviction",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="a full database evicts keys",
    )
    add(
        "--refuse-getex-when-full",
        action="store_true",
        help="a full database rejects GETEX, too",
    )
    add(
        "--fault",
        action="append",
        default=[],
        metavar="KIND[:NAME=VALUE,…]",
        help="start with a fault, for example latency:seconds=0.2,jitter=0.05 (repeatable)",
    )
    add(
        "--developer-api",
        default="",
        metavar="email=E,key=K[,plan=P,regions=N,budget=N]",
        help="offer Upstash's Developer API on the control port, for this account",
    )
    add("--until-stdin-closes", action="store_true", help="stop when standard input is closed")


def run(arguments: dict[str, Any]) -> None:
    """Run the emulator until SIGTERM or SIGINT.

    Raises:
        CannotStart: an option is invalid, or the port, a package or the server is unavailable.
    """
    try:
        # These modules need the packages of the extra; --help does not.
        from continuum_upstash.emulator import lifecycle, listeners  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CannotStart(
            f"the package {error.name} is not installed: pip install 'continuum-upstash[emulator]'"
        ) from error
    names = {option.name for option in fields(EmulatorOptions)}
    faults = Faults()
    try:
        options = EmulatorOptions(
            **{name: value for name, value in arguments.items() if name in names}
        )
        for text in arguments["fault"]:
            faults.add(_parse_fault(text))
        until = arguments["until_stdin_closes"]
        asyncio.run(lifecycle.serve(options, faults, until_stdin_closes=until))
    except (InvalidOption, listeners.PortInUse, UpstreamError, ValkeyUnavailable) as error:
        raise CannotStart(str(error)) from error


def _parse_fault(text: str) -> Fault:
    kind, _, options = text.partition(":")
    pairs = (option.partition("=") for option in options.split(",") if option)
    return Fault.parse({"kind": kind} | {name: value for name, _, value in pairs})
