"""Removes frames from tracebacks whose local variables contain a token or a password.

Debug pages, Django's mails to ADMINS and error trackers show local variables. Functions of this
package hold secrets in objects whose `repr` shows nothing; those of httpx and redis-py do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

_PACKAGE = __name__.partition(".")[0]


class HiddenLibraryFrames:
    """A context in whose exceptions the frames of other libraries are removed."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for each in _iter_chain(error):
            each.__traceback__ = _keep_own_frames(each.__traceback__)


def _iter_chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, its causes and its contexts."""
    pending, seen = [error], set[int]()
    while pending:
        each = pending.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            pending += [each.__cause__, each.__context__]
            if isinstance(each, BaseExceptionGroup):
                pending += each.exceptions


def _keep_own_frames(traceback: TracebackType | None) -> TracebackType | None:
    entries = []
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] == _PACKAGE:
            entries.append(traceback)
        traceback = traceback.tb_next
    kept = None
    for each in reversed(entries):
        kept = TracebackType(kept, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return kept
