"""Each server serves the site under load, while its workers restart and the database is away.

No request fails, and afterwards the processes hold no more sockets and threads than before.
Part of make test-deploy, which sets TEST_LENGTH: the load lasts half of it, in seconds, for each
server that is installed. The option --log-cli-level=INFO shows the figures.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest

from tests.deploy.conftest import PROJECT, Site, is_served
from tests.deploy.site_load import CLIENTS, SiteLoad, format_row, measure
from tests.waiting import wait_until

LENGTH = float(os.environ.get("TEST_LENGTH", "0"))
SECONDS = LENGTH / 10  # of each of the five phases
WORKERS = 2

WSGI, ASGI = "mysite.wsgi:application", "mysite.asgi:application"
GUNICORN = ["gunicorn", "--workers=2", "--bind=fd://{fd}", "--no-control-socket", WSGI]
# On a busy machine a worker may start for longer than 5 s, and would be killed.
UVICORN = ["--no-proxy-headers", "--timeout-worker-healthcheck=60"]
# On a port, each worker of granian listens by itself: connections that it has not accepted are
# reset when it ends, and refused if its successor has not started within --respawn-interval.
# granian forks, and a worker ignores SIGTERM until it has loaded the site: hence the limit.
GRANIAN = ["granian", "--workers=2", "--workers-kill-timeout=20", "--uds={path}"]
SERVERS = {
    "gunicorn-sync": GUNICORN,
    "gunicorn-gthread": [*GUNICORN, "--worker-class=gthread", "--threads=8"],
    "gunicorn-gevent": [*GUNICORN, "--worker-class=gevent"],
    "uvicorn": ["uvicorn", "--workers=2", "--fd={fd}", *UVICORN, ASGI],
    "granian-wsgi": [*GRANIAN, "--interface=wsgi", "--blocking-threads=8", WSGI],
    "granian-asgi": [*GRANIAN, "--interface=asgi", ASGI],
    "hypercorn": ["hypercorn", "--workers=2", "--bind=fd://{fd}", ASGI],
    "daphne": ["daphne", "--fd={fd}", ASGI],
}
logger = logging.getLogger(__name__)


class Server:
    """A server with two workers. daphne has no workers, and is replaced on the same socket."""

    def __init__(self, name, environment, folder):
        self._name, self._environment, self._folder = name, environment, folder
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._path = folder / "socket"
        self.site = Site(
            self._listener.getsockname()[1], path=self._path if "granian" in name else None
        )
        self._log = (folder / "server.log").open("w")
        self._process = self._start()
        self.group = self._process.pid
        wait_until(lambda: is_served(self.site) or self._process.poll() is not None)
        assert self._process.poll() is None, self.read_log()

    def _start(self, **options):
        fd = self._listener.fileno()
        arguments = [part.format(fd=fd, path=self._path) for part in SERVERS[self._name]]
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=PROJECT,
            env=self._environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            pass_fds=[fd],
            process_group=options.get("group", 0),
        )

    def restart(self):
        """Replace all workers, and wait until only new ones are left."""
        old = measure(self.group).processes
        if self._name == "daphne":
            first, self._process = self._process, self._start(group=self.group)
            wait_until(lambda: self.read_log().count("Listening on TCP") == 2)
            first.terminate()
            first.wait(timeout=20)
        else:
            self._process.send_signal(signal.SIGHUP)
        workers = 1 if self._name == "daphne" else WORKERS

        def is_replaced():
            new = measure(self.group).processes
            return len(new) == len(old) and len(new - old) >= workers

        wait_until(is_replaced, seconds=60)

    def read_log(self):
        return (self._folder / "server.log").read_text()

    def stop(self):
        self._process.terminate()
        self._process.wait(timeout=30)
        self._log.close()
        self._listener.close()


@contextmanager
def serve(name, environment, folder):
    server = Server(name, environment, folder)
    try:
        yield server
    finally:
        server.stop()


def run_load(server, emulator):
    """Load the server, whose workers restart with and without an outage."""
    load = SiteLoad(server.site)
    try:
        load.wait(SECONDS)
        server.restart()
        load.wait(SECONDS)
        with emulator.fault("refuse"):
            load.wait(SECONDS)
            server.restart()
            load.wait(SECONDS)
        served = emulator.read_usage().billed + 5 * CLIENTS
        wait_until(lambda: load.errors or emulator.read_usage().billed > served)
        load.wait(SECONDS)
    finally:
        load.stop()
    return load


def measure_when_idle(server, before):
    """Wait until the clients' connections are closed, and old workers have ended."""
    with suppress(AssertionError):
        wait_until(
            lambda: (
                measure(server.group).sockets <= before.sockets
                and len(measure(server.group).processes) == len(before.processes)
            ),
            seconds=40,
        )
    return measure(server.group)


@pytest.mark.skipif(not LENGTH, reason="takes minutes, in make test-deploy (TEST_LENGTH)")
@pytest.mark.parametrize("name", SERVERS)
def test_no_request_fails_while_workers_restart_and_the_database_is_away(
    name, site_environment, emulator, tmp_path
):
    if importlib.util.find_spec(name.partition("-")[0]) is None:
        pytest.skip(f"{name} is part of make test-deploy")
    # Each request has the address of a client of its own, for the rate limit.
    environment = {**site_environment, "TRUSTED_PROXIES": "1"}
    with serve(name, environment, tmp_path) as server:
        first = SiteLoad(server.site)
        first.wait(SECONDS)
        first.stop()
        before = measure(server.group)
        load = run_load(server, emulator)

        after = measure_when_idle(server, before)
        logger.info(format_row(name, load, before, after))
        assert len(after.processes) == len(before.processes)
        # In each worker, thread pools and connection pools grow with the calls at once.
        assert after.threads <= before.threads + WORKERS * CLIENTS
        assert after.sockets <= before.sockets + WORKERS * CLIENTS
        assert not load.errors, server.read_log()
        assert set(load.statuses) == {200}, server.read_log()
        # Sessions have no local store: they need a worker whose circuit breaker is closed again.
        wait_until(lambda: server.site.get("/")[0] == 200, seconds=40)
