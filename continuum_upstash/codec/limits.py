"""Limits for decoding stored bytes, which are untrusted."""

from __future__ import annotations

# Of lists, dicts and extension values in one stored value. Each takes 70 to 250 bytes of memory for
# 1 to 3 bytes of data, and zstd compresses such data 10,000 times.
MAX_OBJECTS = 2 * 1024 * 1024

# int() accepts this many digits with any sys.set_int_max_str_digits; its time is quadratic.
MAX_INT_DIGITS = 640
MAX_INT_BITS = 2126  # ints of up to this many bits have at most MAX_INT_DIGITS digits


class TooManyObjects(Exception):
    """A value contains more than MAX_OBJECTS. Not a ValueError, which would mean: it is text."""
