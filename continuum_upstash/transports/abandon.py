"""How to end a connection on which a request is still unanswered."""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from typing import Final

_AT_ONCE: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def abandon(sock: socket.socket | None) -> None:
    """Have the system forget what the server has not acknowledged when the socket is closed.

    It would go on sending that for minutes, and a write that its caller gave up, and has perhaps
    written anew, would still arrive (tcp(7), tcp_orphan_retries).
    """
    if sock is not None:
        with suppress(OSError):  # it is closed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
