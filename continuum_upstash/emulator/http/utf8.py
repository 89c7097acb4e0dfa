"""UTF-8 as the service decodes it."""

import re
from typing import Final

_INVALID: Final = re.compile("[\udc80-\udcff]")


def decode_text(value: bytes) -> str:
    """Return the text, with U+FFFD for each invalid byte.

    Python's "replace" writes one U+FFFD for several bytes.
    """
    try:
        return value.decode()
    except UnicodeDecodeError:
        return _INVALID.sub("\ufffd", value.decode(errors="surrogateescape"))
