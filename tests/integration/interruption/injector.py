"""Raises an exception at a chosen line, or bytecode instruction, of the package's transports."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import continuum_upstash.transports

TRANSPORTS = str(Path(continuum_upstash.transports.__file__).parent)
# What is raised in a finalizer or a callback of the garbage collector reaches no caller.
UNREACHABLE = {"__del__"}


class Injector:
    """Traces the current thread.

    Args:
        event: ``line`` or ``opcode``.
        is_traced: which frames of the transports are traced.
    """

    def __init__(self, event: str, is_traced: Callable[[FrameType], bool] = lambda _: True) -> None:
        self._event = event
        self._is_traced = is_traced
        self._count = 0
        self._at = 0
        self._error: BaseException | None = None

    def count(self, function: Callable[[], Any]) -> int:
        """Return at how many places a call can be interrupted."""
        self._count, self._at = 0, -1
        self._run(function)
        return self._count

    def interrupt(self, function: Callable[[], Any], at: int, error: BaseException) -> bool:
        """Call the function in a new thread; raise `error` at its place number `at`, from 1.

        In a new thread, since CPython may leave a thread with an exception that it seems to handle
        when a trace function raises another one in an `except` clause.

        Returns:
            whether the call raised an error of this class.

        Raises:
            BaseException: the call raised an error of another class.
        """
        self._count, self._at, self._error = 0, at, error
        raised: list[BaseException] = []

        def run() -> None:
            try:
                self._run(function)
            except BaseException as caught:
                raised.append(caught)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(20)
        assert not thread.is_alive(), f"the call hangs after place {at}"
        if raised and type(raised[0]) is not type(error):
            raise raised[0]
        return bool(raised)

    def _run(self, function: Callable[[], Any]) -> Any:
        sys.settrace(self._trace_call)
        try:
            return function()
        finally:
            sys.settrace(None)
            self._error = None

    def _trace_call(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(TRANSPORTS) or code.co_name in UNREACHABLE:
            return None
        if not self._is_traced(frame):
            return None
        frame.f_trace_opcodes = self._event == "opcode"
        return self._trace

    def _trace(self, _frame: FrameType, event: str, _arg: Any) -> Any:
        if event == self._event:
            self._count += 1
            if self._count == self._at:
                assert self._error is not None
                raise self._error
        return self._trace
