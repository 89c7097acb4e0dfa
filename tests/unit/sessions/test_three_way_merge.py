from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.sessions.merge import backoff, three_way_merge

FIELDS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2))


@given(FIELDS, FIELDS, FIELDS)
def test_a_merge_keeps_what_either_changed_and_mine_where_both_did(base, mine, theirs):
    result = three_way_merge(base, mine, theirs)
    for name in base.keys() | mine.keys() | theirs.keys():
        before, after, other = base.get(name), mine.get(name), theirs.get(name)
        assert result.get(name) == (after if after != before else other)


@given(FIELDS, FIELDS)
def test_a_merge_without_other_changes_keeps_mine(base, mine):
    assert three_way_merge(base, mine, base) == mine
    assert three_way_merge(base, base, mine) == mine


def test_pauses_grow_up_to_one_second():
    assert max(backoff(0).seconds for _ in range(50)) <= 0.001
    assert all(backoff(60).seconds <= 1 for _ in range(50))
