"""Messages of errors: no text of a server can control a terminal or forge a log line."""

from __future__ import annotations

import pytest

from continuum_upstash import errors
from continuum_upstash.errors import ContinuumError, ReplyError, escape_unprintable

HOSTILE = {
    "ESC": ("\x1b[2J", r"\x1b[2J"),
    "OSC": ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
    "C1": ("\x9b31m", r"\x9b31m"),
    "CR": ("\rok", r"\rok"),
    "LF": ("x\nWARNING forged", r"x\nWARNING forged"),
    "RLO": ("\u202egpj.exe", r"\u202egpj.exe"),
    "isolate": ("\u2066x\u2069", r"\u2066x\u2069"),
    "line separator": ("a\u2028b", r"a\u2028b"),
    "NUL": ("a\x00b", r"a\x00b"),
    "surrogate": ("\ud800", r"\ud800"),
}


def list_errors(kind=ContinuumError):
    return [kind, *(each for sub in kind.__subclasses__() for each in list_errors(sub))]


OURS = [each for each in list_errors() if each.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize(("text", "escaped"), HOSTILE.values(), ids=HOSTILE)
def test_every_error_escapes_its_message(kind, text, escaped):
    error = kind(f"ERR {text}")
    assert str(error) == f"ERR {escaped}"
    assert error.args == (f"ERR {escaped}",)


def test_printable_text_is_unchanged():
    for text in ("", "ERR x", "clé «日本» 😀 don't \\x1b", "tab?"):
        assert escape_unprintable(text) == text


def test_the_code_of_a_reply_error_is_its_first_word():
    assert ReplyError("WRONGTYPE \x1b").code == "WRONGTYPE"
