"""Run the example site, with a local Upstash emulator unless the environment names a database.

    python -m example_project.demo --port 8001

Ctrl-C or SIGTERM stops everything; so does the end of the process that started it.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import sleep

import django
import uvicorn
from django.core.management import call_command

from continuum_upstash import UpstashCache
from continuum_upstash.config.resolve import Config, resolve
from continuum_upstash.emulator.process import running
from continuum_upstash.errors import ConfigurationError, ContinuumError
from example_project.emulator import READY_LINE
from example_project.state import kept_secret

ADMIN = "admin"


class CannotRun(Exception):
    """The demo cannot go on; the message says what to do."""


def main() -> None:
    arguments = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            listener = stack.enter_context(_listener(arguments.port))
            database = stack.enter_context(_database(arguments.redis_url))
            _prepare()
            _announce(listener.getsockname()[1], database)
            _serve(listener)
    except CannotRun as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        return  # everything has been stopped on the way here


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m example_project.demo", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="of the site; 0: any free one")
    parser.add_argument(
        "--redis-url", default="", help="a running Redis or Valkey for the emulator to stand on"
    )
    return parser.parse_args()


@contextmanager
def _listener(port: int) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()  # from here on a visitor waits instead of being refused
        except OSError as error:
            raise CannotRun(
                f"cannot listen on port {port} ({error.strerror}). "
                'Choose another one: make demo ARGS="--port 8001"'
            ) from error
        yield listener


@contextmanager
def _database(redis_url: str) -> Iterator[str]:
    """See to it that the environment names a database that answers; say which one it is."""
    try:
        configured = resolve({"MODE": "auto"}, os.environ).mode != "local"
        if configured or os.environ.get("CONTINUUM_CACHE_MODE") == "local":
            yield _checked(resolve({}, os.environ))
            return
    except ConfigurationError as error:
        raise CannotRun(str(error)) from error
    arguments = ["--redis-url", redis_url] if redis_url else []
    with ExitStack() as stack:
        try:
            emulator = stack.enter_context(running(*arguments))
        except RuntimeError as error:
            raise CannotRun(
                "the emulator did not start; its message is above. Where it has no Valkey of its "
                "own, lend it a Redis that may be written to: "
                'make demo ARGS="--redis-url redis://localhost:6379"'
            ) from error
        os.environ |= {
            "UPSTASH_REDIS_REST_URL": emulator.rest_url,
            "UPSTASH_REDIS_REST_TOKEN": emulator.token,
            "UPSTASH_REDIS_URL": emulator.redis_url,
            "SESSIONS_UPSTASH_REDIS_URL": emulator.redis_url,
            READY_LINE: emulator.addresses.line(),
        }
        yield f"an emulator of Upstash at {emulator.rest_url}"


def _checked(config: Config) -> str:
    if config.mode == "local":
        return "none: the cache is local to the process, as CONTINUUM_CACHE_MODE says"
    try:
        with UpstashCache(name="default") as client:
            client.ping()
    except ContinuumError as error:
        names = " and ".join(name for _, name in config.sources)
        raise CannotRun(f"{error}\nThe credentials are those of {names}.") from error
    return f"{config.host}, over {'REST' if config.mode == 'rest' else 'TCP'}"


def _prepare() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "example_project.settings"
    django.setup()
    from django.contrib.auth import get_user_model  # noqa: PLC0415 needs django.setup()

    from example_project.seed import seed  # noqa: PLC0415 as above

    call_command("migrate", verbosity=0)
    seed()
    user, _ = get_user_model().objects.get_or_create(
        username=ADMIN, defaults={"is_staff": True, "is_superuser": True}
    )
    if not user.check_password(_password()):
        user.set_password(_password())
        user.save()


def _password() -> str:
    return kept_secret("admin_password", 12)


def _announce(port: int, database: str) -> None:
    site = f"http://127.0.0.1:{port}/"
    _say(f"""
  continuum-upstash, the example site

  Site      {site}
  Admin     {site}admin/   user {ADMIN}, password {_password()}
  Database  {database}

  Ctrl-C stops everything.
""")


def _serve(listener: socket.socket) -> None:
    config = uvicorn.Config(
        "example_project.asgi:application", lifespan="off", log_level="warning", access_log=False
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_stop_when_orphaned, args=(server, os.getppid()), daemon=True).start()
    server.run(sockets=[listener])


def _stop_when_orphaned(server: uvicorn.Server, parent: int) -> None:
    while os.getppid() == parent:
        sleep(0.5)
    server.should_exit = True


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
