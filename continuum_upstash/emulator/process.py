"""An emulator in a process of its own, and the handle to it. Imports only the standard library."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from continuum_upstash.emulator.emulator_options import Addresses


@dataclass(slots=True)
class Usage:
    """Totals. `billed` includes REST and TCP; fields without `tcp_` are those of REST."""

    billed: int = 0
    requests: int = 0
    connections: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    tcp_connections: int = 0
    tcp_bytes_received: int = 0
    tcp_bytes_sent: int = 0


@dataclass(slots=True)
class QStashState:
    """How much QStash holds. `messages` wait for a delivery, or are being delivered."""

    messages: int
    schedules: int
    dead_letters: int


@dataclass(slots=True)
class Emulator:
    """A running emulator: its addresses, its usage and its faults."""

    addresses: Addresses
    process: subprocess.Popen[str] = field(repr=False)

    @property
    def rest_url(self) -> str:
        return self.addresses.rest_url

    @property
    def token(self) -> str:
        return self.addresses.token

    @property
    def read_only_token(self) -> str:
        return self.addresses.read_only_token

    @property
    def redis_url(self) -> str:
        return self.addresses.redis_url

    @property
    def qstash_url(self) -> str:
        """The URL for QSTASH_URL; empty without the option ``--qstash-port``."""
        return self.addresses.qstash_url

    def read_usage(self) -> Usage:
        """Return the totals since the last reset."""
        report = self._call("GET", "/_emulator/count")
        rest, tcp = report["rest"], report["tcp"]
        return Usage(
            billed=report["billed"],
            **rest,
            tcp_connections=tcp["connections"],
            tcp_bytes_received=tcp["bytes_received"],
            tcp_bytes_sent=tcp["bytes_sent"],
        )

    @contextmanager
    def count(self) -> Iterator[Usage]:
        """Yield the usage of the block. It is filled in when the block ends."""
        before, usage = self.read_usage(), Usage()
        yield usage
        after = self.read_usage()
        for name in Usage.__slots__:
            setattr(usage, name, getattr(after, name) - getattr(before, name))

    @contextmanager
    def fault(self, kind: str, **options: Any) -> Iterator[None]:
        """Activate a fault in the block.

        Kinds: refuse, reset, hang, latency, throttle, close, garbage, http, quota, budget,
        plan, capacity, readonly, lag. Options: `side`, `seconds`, `jitter`, `rate` (commands per
        second), `status`, `retry_after`, `times`.

        Raises:
            ValueError: the kind or an option is invalid.
        """
        number = self._call("POST", "/_emulator/faults", {"kind": kind, **options})["number"]
        try:
            yield
        finally:
            self._call("DELETE", f"/_emulator/faults?number={number}")

    def read_qstash(self) -> QStashState:
        """Return how many messages, schedules and dead letters QStash holds."""
        return QStashState(**self._call("GET", "/_emulator/qstash"))

    def advance_qstash(self, seconds: float) -> None:
        """Move the clock of QStash forwards: what is due meanwhile is delivered now."""
        self._call("POST", "/_emulator/qstash/clock", {"advance": seconds})

    def set_account(self, email: str, key: str, **options: Any) -> str:
        """Offer Upstash's Developer API for an account, until `reset`; return its URL.

        Options: `plan` (``free``, ``payg``, ``fixed_250mb`` …), `regions` (number of read regions)
        and `budget`.

        Raises:
            ValueError: an option is invalid.
        """
        self._call("POST", "/_emulator/account", {"email": email, "key": key, **options})
        return self.addresses.control_url

    def flush(self) -> None:
        """Delete all data."""
        self._call("DELETE", "/_emulator/data")

    def reset(self) -> None:
        """Remove all faults, data and messages of QStash, and set all counts to zero."""
        self._call("DELETE", "/_emulator")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()  # Valkey stops, too
            self.process.wait()

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        control = urlsplit(self.addresses.control_url)
        assert control.hostname is not None
        connection = http.client.HTTPConnection(control.hostname, control.port, timeout=15)
        try:
            headers = {"Authorization": f"Bearer {self.token}"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            result = json.loads(response.read())
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise ValueError(result["error"])
        return result


@contextmanager
def running(*arguments: str) -> Iterator[Emulator]:
    """Start `python -m continuum_upstash.emulator`; stop it when the block ends.

    It also stops when this process ends, which closes its standard input. Its messages appear on
    the standard error of this process.

    Args:
        arguments: command-line options, such as `--max-data-size=1000000`.

    Raises:
        RuntimeError: the emulator does not start.
    """
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", __package__, "--port=0", "--until-stdin-closes", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"the emulator did not start (exit code {process.wait()}): see its message above"
            )
        emulator = Emulator(Addresses.parse(line), process)
        try:
            yield emulator
        finally:
            emulator.stop()
