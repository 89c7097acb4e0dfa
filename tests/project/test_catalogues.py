"""The catalogues are complete, their placeholders agree, and the compiled files are fresh."""

from __future__ import annotations

import re

import pytest
from django.utils import translation

from tests.project.catalogues import (
    LANGUAGES,
    LOCALE,
    compile_catalogue,
    find_messages,
    get_path,
    read_catalogue,
    read_compiled,
)

PLACEHOLDER = re.compile(r"%\(\w+\)[ds]|\{\w*\}|</?bdi>")
ADVICE = "run: python -m tests.project.catalogues, and translate what it adds"


def list_forms(message):
    return message if isinstance(message, tuple | list) else (message,)


def list_messages(catalogue):
    return {(each.context, each.id) for each in catalogue if each.id}


@pytest.fixture(scope="module")
def messages():
    return list_messages(find_messages())


def test_every_folder_is_a_known_language():
    assert {each.name for each in LOCALE.iterdir()} == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_is_in_the_catalogue_and_no_other(language, messages):
    assert len(messages) > 300
    assert list_messages(read_catalogue(language)) == messages, ADVICE


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_is_translated(language):
    catalogue = read_catalogue(language)
    incomplete = [
        each.id
        for each in catalogue
        if each.id and (each.fuzzy or not all(list_forms(each.string)))
    ]
    assert incomplete == []
    forms = {len(each.string) for each in catalogue if isinstance(each.id, tuple)}
    assert forms == {catalogue.num_plurals}


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_agree(language):
    for each in read_catalogue(language):
        *_, many = list_forms(each.id)
        expected = set(PLACEHOLDER.findall(many))
        *_, translated = list_forms(each.string)
        if each.id:
            assert set(PLACEHOLDER.findall(translated)) == expected, each.id
            assert all(set(PLACEHOLDER.findall(form)) <= expected for form in each.string), each.id


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalogue_is_fresh(language):
    compiled = read_compiled(language)
    assert compile_catalogue(compiled) == compile_catalogue(read_catalogue(language)), ADVICE


@pytest.mark.parametrize("language", LANGUAGES)
def test_django_uses_the_compiled_catalogue(language):
    assert get_path(language, "mo").is_file()
    with translation.override(language):
        assert translation.gettext("Too many requests") != "Too many requests"
        assert translation.gettext("Key families") != "Key families"
