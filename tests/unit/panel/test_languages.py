"""A page of the panel is in one language, even where Django has translations of single words.

tests/project/test_catalogues.py is about the languages of the package itself.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation

from continuum_upstash import panel

SOURCES = [
    each for each in Path(panel.__file__).parent.rglob("*") if each.suffix in {".py", ".html"}
]
WITHOUT_CONTEXT = re.compile(
    r'{% translate "([^"]+)" %}|\b_\(\s*"([^"]+)"\s*\)|{% blocktranslate[^%]*%}([^{]+){%'
)
WORDS = {
    next(filter(None, found))
    for each in SOURCES
    for found in WITHOUT_CONTEXT.findall(each.read_text(encoding="utf-8"))
}


OWN = {each.name for each in (Path(panel.__file__).parents[1] / "locale").iterdir()}


@pytest.mark.parametrize(
    "language", [code for code, _ in settings.LANGUAGES if code.split("-")[0] not in OWN]
)
def test_no_word_is_translated_by_django_only(language):
    assert {"State", "Paused.", "Hit rate"} <= WORDS
    with translation.override(language):
        assert {word for word in WORDS if translation.gettext(word) != word} == set()
