from __future__ import annotations

import pytest

from continuum_upstash.errors import make_reply_error


@pytest.mark.parametrize("end", ["", "."])
def test_a_hint_is_a_separate_sentence(end):
    text = f"ERR max requests limit exceeded. See https://upstash.com/… for details{end}"
    assert "for details. Every command fails" in str(make_reply_error(text))
