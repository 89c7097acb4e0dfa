"""What a debug page or an error tracker could show of an exception: the local variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import FrameType


def iter_exceptions(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, its causes and its contexts, suppressed ones included."""
    pending, seen = [error], set()
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        pending += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]


def iter_frames(error: BaseException) -> Iterator[FrameType]:
    for each in iter_exceptions(error):
        traceback = each.__traceback__
        while traceback is not None:
            yield traceback.tb_frame
            traceback = traceback.tb_next


def find_secrets(error: BaseException, *secrets: str) -> list[str]:
    """Return where a secret is readable: in a message, or a local variable outside of the tests."""
    places = [
        f"the text of {type(each).__name__}"
        for each in iter_exceptions(error)
        for text in (str(each), repr(each), *getattr(each, "__notes__", ()))
        if any(secret in text for secret in secrets)
    ]
    for frame in iter_frames(error):
        if frame.f_code.co_filename.startswith("<") or "/tests/" in frame.f_code.co_filename:
            continue
        for name, value in frame.f_locals.items():
            text = _show(value)
            if any(secret in text for secret in secrets):
                code = frame.f_code
                places.append(f"{code.co_filename}:{frame.f_lineno} {code.co_name}: {name}")
    return places


def _show(value: object) -> str:
    """Return the text of a value: its repr, and all text in it if it is a collection."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes | bytearray):
        return value.decode("latin-1")
    try:
        text = repr(value)
        if isinstance(value, Mapping):
            value = [*value.items()]
        if isinstance(value, list | tuple | set | frozenset):
            text += "".join(map(_show, value))
    except Exception as error:
        return repr(error)
    return text
