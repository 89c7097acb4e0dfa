"""Redis' patterns: ``*``, ``?``, ``[a-c]``, ``[^a]`` and a backslash that escapes the next byte.

A pattern is translated to a regular expression with atomic stars, so a match takes at most
(length of the pattern) x (length of the key) steps.
"""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=256)
def compile_glob(pattern: bytes) -> re.Pattern[bytes]:
    """Return a regular expression that matches the same whole keys as the pattern in Redis."""
    first, *others = _translate_parts(pattern)
    if not others:
        return re.compile(first + rb"\Z", re.DOTALL)
    *middle, last = others
    # The earliest match of a middle part leaves the most for the others: no backtracking is needed.
    parts = [first, *(rb"(?>.*?%b)" % part for part in middle if part), rb".*", last, rb"\Z"]
    return re.compile(b"".join(parts), re.DOTALL)


def _translate_parts(pattern: bytes) -> list[bytes]:
    """Return the regular expressions of the parts between the stars."""
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
            charset, position = _translate_set(pattern, position)
            parts[-1] += charset
        else:
            if byte == b"\\" and position < len(pattern):
                byte = pattern[position : position + 1]
                position += 1
            parts[-1] += re.escape(byte)
    return parts


def _translate_set(pattern: bytes, position: int) -> tuple[bytes, int]:
    """Return the regular expression of a set, and the position after its closing bracket.

    As in Redis' stringmatchlen, a set without a closing bracket ends with the pattern, the ends of
    a range may be swapped, and an empty set matches nothing.

    Args:
        pattern: the whole pattern.
        position: after the opening bracket.
    """
    is_negated = pattern[position : position + 1] == b"^"
    position += is_negated
    members: set[int] = set()
    while position < len(pattern) and pattern[position : position + 1] != b"]":
        low = pattern[position]
        if low == ord("\\") and position + 1 < len(pattern):
            position += 1
            members.add(pattern[position])
        elif pattern[position + 1 : position + 2] == b"-" and position + 2 < len(pattern):
            position += 2
            low, high = sorted((low, pattern[position]))
            members.update(range(low, high + 1))
        else:
            members.add(low)
        position += 1
    allowed = set(range(256)) - members if is_negated else members
    if not allowed:
        return rb"(?!)", position + 1
    return b"[%b]" % b"".join(rb"\x%02x" % code for code in sorted(allowed)), position + 1
