"""Run the example site, on a local Upstash emulator unless the environment configures a database.

    python -m example_project.demo --port 8001

Ctrl-C, SIGTERM or the end of the parent process stops the site and the emulator.
"""

from __future__ import annotations

import argparse
import os
import secrets
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
from continuum_upstash.emulator.cli import parse_port
from continuum_upstash.emulator.process import running
from continuum_upstash.errors import ConfigurationError, ContinuumError
from example_project.data_folder import load_or_create_secret
from example_project.emulator import READY_LINE

ADMIN = "admin"
_EMAIL = "demo@example.com"  # of the account in the emulator's Developer API


class StartupError(Exception):
    """The demo cannot start; the message names the cause and the solution."""


def main() -> None:
    parent = os.getppid()  # it may end before the site is ready
    arguments = _parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            listener = stack.enter_context(_open_listener(arguments.port))
            database = stack.enter_context(_provide_database(arguments.redis_url))
            _print("  Creating the site's tables, 12,000 articles and example keys ...")
            _prepare_site()
            stack.enter_context(_run_tasks())
            _print_addresses(listener.getsockname()[1], database)
            _serve(listener, parent)
    except StartupError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        return  # the context managers have stopped everything


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m example_project.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", type=parse_port, default=8000, help="port of the site; 0: any free port"
    )
    parser.add_argument(
        "--redis-url", default="", help="a running Redis or Valkey server for the emulator"
    )
    return parser.parse_args()


@contextmanager
def _open_listener(port: int) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()  # from now on, connections wait instead of being refused
        except OSError as error:
            raise StartupError(
                f"cannot listen on port {port} ({error.strerror}). "
                'Select another port: make demo ARGS="--port 8001"'
            ) from error
        yield listener


@contextmanager
def _provide_database(redis_url: str) -> Iterator[str]:
    """Configure a reachable database in the environment; yield its description."""
    try:
        configured = resolve({"MODE": "auto"}, os.environ).mode != "local"
        if configured or os.environ.get("CONTINUUM_CACHE_MODE") == "local":
            yield _check_database(resolve({}, os.environ))
            return
    except ConfigurationError as error:
        raise StartupError(str(error)) from error
    _print("  Starting a local Upstash emulator, because no database is configured ...")
    key = secrets.token_urlsafe(16)
    arguments = [f"--developer-api=email={_EMAIL},key={key},plan=payg"]
    arguments += ["--redis-url", redis_url] if redis_url else []
    with ExitStack() as stack:
        try:
            emulator = stack.enter_context(running(*arguments))
        except RuntimeError as error:
            raise StartupError(
                "the emulator did not start; its error is printed above. If there is no Valkey "
                "wheel for this platform, pass a Redis server that the demo may write to: "
                'make demo ARGS="--redis-url redis://localhost:6379"'
            ) from error
        os.environ |= {
            "UPSTASH_REDIS_REST_URL": emulator.rest_url,
            "UPSTASH_REDIS_REST_TOKEN": emulator.token,
            "UPSTASH_REDIS_URL": emulator.redis_url,
            "SESSIONS_UPSTASH_REDIS_URL": emulator.redis_url,
            "FEDERATION_UPSTASH_REDIS_URL": emulator.redis_url,
            "UPSTASH_EMAIL": _EMAIL,
            "UPSTASH_API_KEY": key,
            "UPSTASH_API_URL": emulator.addresses.control_url,
            READY_LINE: emulator.addresses.format_line(),
        }
        yield f"Upstash emulator at {emulator.rest_url}"


def _check_database(config: Config) -> str:
    if config.mode == "local":
        return "none: CONTINUUM_CACHE_MODE=local, the cache lives in this process"
    try:
        with UpstashCache(name="default") as client:
            client.ping()
    except ContinuumError as error:
        variables = " and ".join(name for _, name in config.sources)
        raise StartupError(f"{error}\nThe credentials come from {variables}.") from error
    return f"{config.host}, over {'REST' if config.mode == 'rest' else 'TCP'}"


def _prepare_site() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "example_project.settings"
    django.setup()
    from django.contrib.auth import get_user_model  # noqa: PLC0415 needs django.setup()

    from example_project.seed import seed  # noqa: PLC0415 as above
    from example_project.seed_keys import seed_keys  # noqa: PLC0415 as above

    call_command("migrate", verbosity=0)
    seed()
    seed_keys()
    user, _ = get_user_model().objects.get_or_create(
        username=ADMIN, defaults={"is_staff": True, "is_superuser": True}
    )
    if not user.check_password(_read_password()):
        user.set_password(_read_password())
        user.save()


@contextmanager
def _run_tasks() -> Iterator[None]:
    """Run the tasks of the site in a thread, where other sites have a worker process."""
    from django.conf import settings  # noqa: PLC0415 needs django.setup()
    from django.core.cache import caches  # noqa: PLC0415 as above

    if not settings.HAS_TASKS or caches["federation"].database.config.mode == "local":
        yield
        return
    from continuum_upstash.federation.tasks.worker import find_task_handlers  # noqa: PLC0415 as above
    from continuum_upstash.federation.worker.options import WorkerOptions  # noqa: PLC0415 as above
    from continuum_upstash.federation.worker.worker import Worker  # noqa: PLC0415 as above

    handlers, alias = find_task_handlers("default", [])
    worker = Worker(WorkerOptions(handlers=handlers, using=alias, concurrency=2, grace=1))
    thread = threading.Thread(target=worker.run, name="tasks")
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join()


def _read_password() -> str:
    return load_or_create_secret("admin_password", 12)


def _print_addresses(port: int, database: str) -> None:
    site = f"http://127.0.0.1:{port}/"
    _print(f"""
  continuum-upstash example site

  Site      {site}
  Admin     {site}admin/   user {ADMIN}, password {_read_password()}
  Database  {database}

  Press Ctrl-C to stop.
""")


def _serve(listener: socket.socket, parent: int) -> None:
    config = uvicorn.Config(
        "example_project.asgi:application",
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,  # live pages do not end by themselves
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_stop_with_parent, args=(server, parent), daemon=True).start()
    server.run(sockets=[listener])


def _stop_with_parent(server: uvicorn.Server, parent: int) -> None:
    while os.getppid() == parent:
        sleep(0.5)
    server.should_exit = True


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
