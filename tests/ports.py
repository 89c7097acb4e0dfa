from __future__ import annotations

import socket


def find_free_port() -> int:
    """Return a port that the system chooses, so that parallel test runs do not collide."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
