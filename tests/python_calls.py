"""Counts the Python calls of an operation: its own work, in a unit that does not depend on load."""

from __future__ import annotations

import _socket
import gc
import sys
from contextlib import contextmanager


def count_python_calls(function, *arguments):
    """Return how many Python calls a call makes."""
    calls = 0

    def count_call(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    with _profile(count_call):
        function(*arguments)
        return calls  # without the calls that end the count


@contextmanager
def count_calls_until_send():
    """Yield a list of the numbers of Python calls that precede each write to a socket."""
    calls, calls_at_send = 0, []

    def count_call(frame, event, argument):
        nonlocal calls
        calls += event == "call"
        if event == "c_call" and argument.__name__ in {"send", "sendall"} and _is_socket(argument):
            calls_at_send.append(calls)

    with _profile(count_call):
        yield calls_at_send


@contextmanager
def _profile(count_call):
    """Call a function at each Python call, except those of a garbage collection."""
    gc.disable()
    sys.setprofile(count_call)
    try:
        yield
    finally:
        sys.setprofile(None)
        gc.enable()


def _is_socket(method):
    return isinstance(method.__self__, _socket.socket)
