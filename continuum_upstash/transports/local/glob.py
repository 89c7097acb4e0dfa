"""Redis' patterns: ``*``, ``?``, ``[a-c]``, ``[^a]`` and a backslash that quotes the next byte.

They are translated to a regular expression whose stars are atomic, so that no pattern takes
more than (length of the pattern) x (length of the key) steps.
"""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=256)
def compiled(pattern: bytes) -> re.Pattern[bytes]:
    """Return what matches a whole key exactly where Redis would."""
    first, *others = _between_stars(pattern)
    if not others:
        return re.compile(first + rb"\Z", re.DOTALL)
    *middle, last = others
    # The earliest match of each middle part leaves the most for the rest: no way back is needed.
    parts = [first, *(rb"(?>.*?%b)" % part for part in middle if part), rb".*", last, rb"\Z"]
    return re.compile(b"".join(parts), re.DOTALL)


def _between_stars(pattern: bytes) -> list[bytes]:
    parts = [b""]
    position = 0
    while position < len(pattern):
        byte = pattern[position : position + 1]
        position += 1
        if byte == b"*":
            parts.append(b"")
            continue
        if byte == b"?":
            parts[-1] += b"."
        elif byte == b"[":
            charset, position = _charset(pattern, position)
            parts[-1] += charset
        else:
            if byte == b"\\" and position < len(pattern):
                byte = pattern[position : position + 1]
                position += 1
            parts[-1] += re.escape(byte)
    return parts


def _charset(pattern: bytes, position: int) -> tuple[bytes, int]:
    """Return the set that starts behind a bracket, and the position behind its end.

    As in Redis' stringmatchlen, a set without its closing bracket ends with the pattern, a range
    may be upside down, and an empty set matches nothing.
    """
    negated = pattern[position : position + 1] == b"^"
    position += negated
    wanted: set[int] = set()
    while position < len(pattern) and pattern[position : position + 1] != b"]":
        low = pattern[position]
        if low == ord("\\") and position + 1 < len(pattern):
            position += 1
            wanted.add(pattern[position])
        elif pattern[position + 1 : position + 2] == b"-" and position + 2 < len(pattern):
            position += 2
            low, high = sorted((low, pattern[position]))
            wanted.update(range(low, high + 1))
        else:
            wanted.add(low)
        position += 1
    allowed = set(range(256)) - wanted if negated else wanted
    if not allowed:
        return rb"(?!)", position + 1
    return b"[%b]" % b"".join(rb"\x%02x" % code for code in sorted(allowed)), position + 1
