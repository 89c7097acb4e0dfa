"""Loads a site from concurrent keep-alive connections, and prints the result as JSON.

    python -m benchmarks.sites.load PORT PATH CONNECTIONS SECONDS

Each connection sends its next request as soon as it has received a response.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time


class Connection(asyncio.Protocol):
    """Sends one request after the other until the deadline."""

    def __init__(self, request, deadline, done):
        self.request, self.deadline, self.done = request, deadline, done
        self.data = b""
        self.seconds = []
        self.failures = 0

    def connection_made(self, transport):
        self.transport = transport
        self.send()

    def send(self):
        self.started = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data):
        self.data += data
        head, end, body = self.data.partition(b"\r\n\r\n")
        if not end or len(body) < get_content_length(head):
            return
        now = time.perf_counter()
        self.seconds.append(now - self.started)
        self.failures += not head.startswith(b"HTTP/1.1 200")
        self.data = b""
        if now < self.deadline:
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, _error):
        if time.perf_counter() < self.deadline:
            self.failures += 1
        self.done.set_result(None)


def get_content_length(head):
    return int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])


async def load(port, path, connections, seconds):
    loop = asyncio.get_running_loop()
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    started = time.perf_counter()
    protocols = [
        Connection(request, started + seconds, loop.create_future()) for _ in range(connections)
    ]
    for protocol in protocols:
        await loop.create_connection(lambda protocol=protocol: protocol, "127.0.0.1", port)
    await asyncio.wait_for(asyncio.gather(*(each.done for each in protocols)), seconds + 20)
    return {
        "elapsed": time.perf_counter() - started,
        "failures": sum(each.failures for each in protocols),
        "seconds": [second for each in protocols for second in each.seconds],
    }


if __name__ == "__main__":
    port, path, connections, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(load(int(port), path, int(connections), float(seconds)))))
