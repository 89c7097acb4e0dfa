"""A progress line on stderr: redrawn on a terminal, a new line every few seconds elsewhere."""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

_REDRAW: Final = 0.1  # seconds
_LINE: Final = 5.0  # seconds
_WIDTH: Final = 24


class Progress:
    """
    Args:
        stream: the command's stderr, so that stdout stays for the result.
        total: of the steps; None: nobody knows.
        quiet: say nothing.
    """

    def __init__(self, stream: Any, total: int | None, *, quiet: bool = False) -> None:
        self._stream, self._total, self._quiet = stream, total, quiet
        self._live = stream.isatty()
        self._shown = monotonic()

    def show(self, done: int, text: str) -> None:
        now = monotonic()
        if self._quiet or now - self._shown < (_REDRAW if self._live else _LINE):
            return
        self._shown = now
        line = f"{self._bar(done)}{text}"
        if self._live:
            self._write(f"\r\x1b[K{line}")
        else:
            self._write(f"{line}\n")

    def end(self) -> None:
        """Clear the line, so that the result stands alone."""
        if self._live and not self._quiet:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        # Django styles whatever a command says on stderr as an error; progress is none.
        self._stream.write(text, style_func=str, ending="")
        self._stream.flush()

    def _bar(self, done: int) -> str:
        if not self._total:
            return ""
        share = min(done / self._total, 1.0)
        if not self._live:
            return f"{share:.0%} "
        full = round(share * _WIDTH)
        return f"[{'#' * full}{'.' * (_WIDTH - full)}] {share:4.0%} "
