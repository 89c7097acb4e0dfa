"""Settings that cannot be changed: equality, hash and what `repr` leaves out."""

from __future__ import annotations

from typing import ClassVar

import pytest

from continuum_upstash.config.frozen_settings import FrozenSettings


class Settings(FrozenSettings):
    size: int = 1
    secret: str = ""
    source: str = ""

    NOT_COMPARED: ClassVar = frozenset({"source"})
    HIDDEN: ClassVar = frozenset({"secret"})


def test_a_setting_has_its_default_or_the_given_value():
    settings = Settings(size=2)
    assert (settings.size, settings.secret, Settings.NAMES) == (2, "", ("size", "secret", "source"))


def test_equal_settings_have_equal_hashes_whatever_is_not_compared():
    first, second = Settings(secret="s", source="a"), Settings(secret="s", source="b")
    assert first == second
    assert len({first, second}) == 1
    assert first != Settings(secret="other")
    assert first != object()


def test_settings_are_replaced_and_never_changed():
    settings = Settings(secret="s")
    assert settings.replace(size=3) == Settings(size=3, secret="s")
    with pytest.raises(AttributeError):
        settings.size = 3
    with pytest.raises(TypeError, match="Settings has no colour"):
        Settings(colour="red")


def test_repr_does_not_show_what_is_hidden():
    assert repr(Settings(secret="s", source="a")) == "Settings(size=1, source='a')"
