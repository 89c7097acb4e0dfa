"""A progress line on stderr: redrawn on a terminal, elsewhere a new line every few seconds."""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

_REDRAW_SECONDS: Final = 0.1
_LINE_SECONDS: Final = 5.0
_WIDTH: Final = 24


class PlainStream:
    """A command's stderr, without the colour of errors, which Django gives to each line."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        self._stream.write(text, style_func=str, ending="")

    def flush(self) -> None:
        self._stream.flush()


class Progress:
    """
    Args:
        stream: the command's stderr; stdout contains only the result.
        total: the number of steps; None: unknown.
        quiet: write nothing.
    """

    def __init__(self, stream: Any, total: int | None, *, quiet: bool = False) -> None:
        self._stream, self._total, self._quiet = PlainStream(stream), total, quiet
        self._is_terminal = stream.isatty()
        self._last_shown = monotonic()

    def show(self, done: int, text: str) -> None:
        now = monotonic()
        interval = _REDRAW_SECONDS if self._is_terminal else _LINE_SECONDS
        if self._quiet or now - self._last_shown < interval:
            return
        self._last_shown = now
        line = f"{self._format_bar(done)}{text}"
        if self._is_terminal:
            self._write(f"\r\x1b[K{line}")
        else:
            self._write(f"{line}\n")

    def end(self) -> None:
        """Clear the line, so that the terminal shows only the result."""
        if self._is_terminal and not self._quiet:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _format_bar(self, done: int) -> str:
        if not self._total:
            return ""
        share = min(done / self._total, 1.0)
        if not self._is_terminal:
            return f"{share * 100:.0f} % "
        full = round(share * _WIDTH)
        return f"[{'#' * full}{'.' * (_WIDTH - full)}] {share * 100:3.0f} % "
