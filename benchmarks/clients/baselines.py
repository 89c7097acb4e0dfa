"""The baselines: a bare socket and minimal code; no pool, no deadline, no error handling."""

from __future__ import annotations

import json
import socket
import ssl
from urllib.parse import urlsplit

import hiredis

TOKEN = "AXXXASQgNTQ2YmYzYzQtY2IwYy00ZWI0LWE4YzMtZDQ1YmQ5ODc2NTQzMjEw"


class BareRest:
    """JSON over one keep-alive connection; reads only the Content-Length header."""

    def __init__(self, servers, target):
        url = urlsplit(getattr(servers, target))
        self.socket = open_socket(url, servers)
        head = f"Host: {url.netloc}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: "
        self.request_heads = {
            path: f"POST {path} HTTP/1.1\r\n{head}".encode() for path in ("/", "/pipeline")
        }

    def get(self, key):
        return self.send("/", ["GET", key])["result"]

    def set(self, key, value):
        return self.send("/", ["SET", key, value, "PX", 300_000])["result"]

    def get_many(self, keys):
        return dict(zip(keys, self.send("/", ["MGET", *keys])["result"], strict=True))

    def set_many(self, values):
        commands = [["SET", key, value, "PX", 300_000] for key, value in values.items()]
        return self.send("/pipeline", commands)

    def send(self, path, command):
        body = json.dumps(command).encode()
        self.socket.sendall(b"%b%d\r\n\r\n%b" % (self.request_heads[path], len(body), body))
        data = self.socket.recv(65536)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self.socket.recv(65536)
        start = data.lower().index(b"content-length:") + 15
        length = int(data[start : data.index(b"\r\n", start)])
        parts = [data[end + 4 :]]
        missing = length - len(parts[0])
        while missing > 0:
            parts.append(self.socket.recv(262_144))
            missing -= len(parts[-1])
        return json.loads(b"".join(parts))


class BareTcp:
    """hiredis over one persistent connection."""

    def __init__(self, servers, target):
        url = urlsplit(getattr(servers, target))
        self.socket = open_socket(url, servers)
        self.reader = hiredis.Reader()

    def get(self, key):
        return self.send(("GET", key)).decode()

    def set(self, key, value):
        return self.send(("SET", key, value, "PX", 300_000))

    def get_many(self, keys):
        return {
            key: value.decode() for key, value in zip(keys, self.send(("MGET", *keys)), strict=True)
        }

    def set_many(self, values):
        packed = [
            hiredis.pack_command(("SET", key, value, "PX", 300_000))
            for key, value in values.items()
        ]
        self.socket.sendall(b"".join(packed))
        return [self.read() for _ in values]

    def send(self, command):
        self.socket.sendall(hiredis.pack_command(command))
        return self.read()

    def read(self):
        while (reply := self.reader.gets()) is False:
            self.reader.feed(self.socket.recv(65536))
        return reply


def open_socket(url, servers):
    sock = socket.create_connection((url.hostname, url.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if url.scheme not in ("https", "rediss"):
        return sock
    context = ssl.create_default_context(cafile=servers.ca_file)
    return context.wrap_socket(sock, server_hostname=url.hostname)
