"""The panel's model has no table: commands that read all models must not query it."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command

from continuum_upstash.panel.models import CacheHealth

LABEL = "continuum_upstash_panel"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--all"],
        ["--natural-foreign", "--natural-primary"],
        ["auth", LABEL],
        [f"{LABEL}.CacheHealth", "--pks=default"],
        ["--exclude=contenttypes", "--format=jsonl"],
    ],
    ids=" ".join,
)
def test_dumpdata_works_with_the_panel_installed(arguments, tmp_path):
    Group.objects.create(name="editors")
    path = tmp_path / "dump"
    call_command("dumpdata", *arguments, output=str(path), verbosity=0)
    text = path.read_text()
    assert ("editors" in text) is not any("CacheHealth" in each for each in arguments)
    assert f'"model": "{LABEL}' not in text


@pytest.mark.django_db
def test_a_dump_can_be_loaded(tmp_path):
    Group.objects.create(name="editors")
    path = tmp_path / "dump.json"
    call_command("dumpdata", output=str(path))
    Group.objects.all().delete()
    call_command("loaddata", str(path), verbosity=0)
    assert Group.objects.get().name == "editors"
    assert any(each["model"] == "auth.permission" for each in json.loads(path.read_text()))


@pytest.mark.django_db
def test_the_model_has_no_rows_and_sends_no_query(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert CacheHealth.objects.count() == 0
        assert list(CacheHealth.objects.filter(alias="default")) == []
        assert list(CacheHealth._base_manager.using("default").order_by("pk").iterator()) == []
