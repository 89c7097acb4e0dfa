"""What the checker of traces finds."""

from __future__ import annotations

from tests.integration.migration.trace import Event, find_double_adds, find_stale_reads


def test_a_read_is_stale_if_the_value_was_deleted_before():
    events = [
        Event("write", "key", "1", 0, 1),
        Event("delete", "key", None, 2, 3),
        Event("read", "key", "1", 4, 5),
    ]
    assert len(list(find_stale_reads(events))) == 1
    concurrent = [events[0]._replace(ended=2.5), events[1], events[2]]
    assert list(find_stale_reads(concurrent)) == []
    assert list(find_stale_reads([events[0], events[1], events[2]._replace(started=2.5)])) == []
    assert len(list(find_stale_reads([Event("read", "key", "2", 0, 1)]))) == 1


def test_two_adds_need_a_delete_between_them():
    adds = [Event("add", "key", "1", 0, 5), Event("add", "key", "2", 4, 6)]
    assert len(list(find_double_adds(adds))) == 1
    assert list(find_double_adds([*adds, Event("delete", "key", None, 1, 2)])) == []
    assert len(list(find_double_adds([*adds, Event("delete", "key", None, 7, 8)]))) == 1
