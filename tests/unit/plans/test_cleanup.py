from __future__ import annotations

from continuum_upstash.plans.cleanup import KeyDeleter, KeySelector
from tests.unit.plan_runner import run_plan

SELECTOR = KeySelector("a:*", lambda key: key.startswith("a:"), lambda key: key == "a:kept")


def scan(cursor):
    return ("SCAN", cursor, "MATCH", "a:*", "COUNT", 1000)


def test_a_full_batch_is_deleted_with_the_next_scan_and_the_rest_at_the_end():
    seen = []
    progress, sent = run_plan(
        KeyDeleter(SELECTOR, batch=2).delete(on_progress=lambda p: seen.append(p.cursor)),
        [[b"7", [b"a:1", b"b:1", b"a:kept", b"a:2"]]],
        [2, [b"8", [b"a:3"]]],
        [[b"0", []]],
        [1],
    )
    assert sent == [
        [scan("0")],
        [("UNLINK", "a:1", "a:2"), scan("7")],
        [scan("8")],
        [("UNLINK", "a:3")],
    ]
    assert (progress.matched, progress.excluded, progress.deleted) == (3, 1, 3)
    assert (progress.pages, progress.commands, progress.complete) == (3, 5, True)
    assert seen == ["0", "7", "7", "0"]  # of the page with the first key that is not deleted yet


def test_a_limit_ends_the_scan_on_the_page_where_keys_are_left():
    progress, _ = run_plan(
        KeyDeleter(SELECTOR, limit=2).delete("5"), [[b"9", [b"a:1", b"a:2", b"a:3"]]], [2]
    )
    assert (progress.cursor, progress.complete, progress.deleted) == ("5", False, 2)


def test_the_ttl_of_each_key_is_read_only_if_it_selects():
    selector = KeySelector("a:*", SELECTOR.matches, SELECTOR.exclude, lambda ms: ms == -1)
    progress, sent = run_plan(
        KeyDeleter(selector, max_pages=1).count(), [[b"3", [b"a:1", b"a:2"]]], [-1, 5000]
    )
    assert sent == [[scan("0")], [("PTTL", "a:1"), ("PTTL", "a:2")]]
    assert (progress.matched, progress.commands, progress.complete) == (1, 3, False)
    assert KeyDeleter(selector).compute_cost(progress) == 4
