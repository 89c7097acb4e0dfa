from __future__ import annotations

import socket

import pytest

from continuum_upstash.transports.sockets import iter_connect_attempts

IPV4 = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))
UNSUPPORTED = (250, socket.SOCK_STREAM, 0, "", ("::1", 1))  # as IPv6 is where it is switched off


def test_an_address_of_a_family_that_the_system_lacks_is_skipped():
    for attempt in iter_connect_attempts([UNSUPPORTED, IPV4], lambda: 8.0):
        with attempt as (sock, address, timeout):
            assert (sock.family, address, timeout) == (socket.AF_INET, ("127.0.0.1", 1), 8.0)
            sock.close()


def test_the_error_of_the_last_address_is_raised():
    with pytest.raises(OSError, match="not supported"):
        next(iter_connect_attempts([UNSUPPORTED], lambda: 8.0))
