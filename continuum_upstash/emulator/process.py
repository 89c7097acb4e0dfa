"""An emulator in a process of its own, and the handle to it. Light to import: tests do."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from continuum_upstash.emulator.options import Addresses


@dataclass(slots=True)
class Count:
    """What a stretch of work cost. Of REST, but for `billed`, which is of both, and the tcp_…"""

    billed: int = 0
    requests: int = 0
    connections: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    tcp_connections: int = 0
    tcp_bytes_received: int = 0
    tcp_bytes_sent: int = 0


@dataclass(slots=True)
class Emulator:
    """A running emulator: where it is, what it counted, and its faults."""

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

    def billed(self) -> int:
        """Commands that the service would have billed since the last reset."""
        return self.counted().billed

    def counted(self) -> Count:
        """All totals since the last reset."""
        report = self._call("GET", "/_emulator/count")
        rest, tcp = report["rest"], report["tcp"]
        return Count(
            billed=report["billed"],
            **rest,
            tcp_connections=tcp["connections"],
            tcp_bytes_received=tcp["bytes_received"],
            tcp_bytes_sent=tcp["bytes_sent"],
        )

    @contextmanager
    def count(self) -> Iterator[Count]:
        """Count what happens in the block; the figures are in place when it ends."""
        before, spent = self.counted(), Count()
        yield spent
        after = self.counted()
        for name in Count.__slots__:
            setattr(spent, name, getattr(after, name) - getattr(before, name))

    @contextmanager
    def fault(self, kind: str, **options: Any) -> Iterator[None]:
        """Have a fault in the block: `side`, `seconds`, `jitter`, `status`, `retry_after`, `times`.

        Kinds: refuse, reset, hang, latency, close, garbage, http, quota, capacity, readonly, lag.
        """
        number = self._call("POST", "/_emulator/faults", {"kind": kind, **options})["number"]
        try:
            yield
        finally:
            self._call("DELETE", f"/_emulator/faults?number={number}")

    def flush(self) -> None:
        """Delete all data."""
        self._call("DELETE", "/_emulator/data")

    def reset(self) -> None:
        """As new: no faults, no data, counts at zero."""
        self._call("DELETE", "/_emulator")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()  # its Valkey ends with it
            self.process.wait()

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        control = urlsplit(self.addresses.control_url)
        assert control.hostname is not None
        connection = http.client.HTTPConnection(control.hostname, control.port, timeout=15)
        try:
            headers = {"Authorization": f"Bearer {self.token}"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise ValueError(answer["error"])
        return answer


@contextmanager
def running(*arguments: str) -> Iterator[Emulator]:
    """Start `python -m continuum_upstash.emulator`; stop it when the block ends.

    It stops too when this process dies, since its standard input ends then.
    Its messages go to our standard error. Raises RuntimeError when it does not start.
    """
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", __package__, "--port=0", "--until-stdin-closes", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"the emulator ended with code {process.wait()}: see its message above")
    emulator = Emulator(Addresses.parse(line), process)
    try:
        yield emulator
    finally:
        emulator.stop()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
