"""What stored bytes, which anyone may have written, can make a reader do."""

from __future__ import annotations

# A decoder reads no more lists, dicts and extension values in one stored value. Each is some 70 to
# 250 bytes of memory for 1 to 3 of data, and zstd shrinks data of that kind ten-thousandfold.
MAX_OBJECTS = 2 * 1024 * 1024

# int() reads this many digits whatever sys.set_int_max_str_digits says; its time is quadratic.
MAX_INT_DIGITS = 640
MAX_INT_BITS = 2126  # an int of so many bits has at most MAX_INT_DIGITS digits


class TooManyObjects(Exception):
    """A value holds more than MAX_OBJECTS: no ValueError, which would mean that it is text."""
