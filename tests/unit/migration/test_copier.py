"""The plans of a copy by their exact commands."""

from __future__ import annotations

from continuum_upstash.cache.data_types.members import MemberCodec
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import CapacityExceeded, ConnectionFailed, ReplyError, RequestTooLarge
from continuum_upstash.keys import KeyPattern
from continuum_upstash.migration.copying.copier import CopyOptions, KeyCopier
from continuum_upstash.migration.copying.reader import KeyMap, SourceReader
from continuum_upstash.migration.copying.values import ValueConverter
from tests.unit.plan_runner import run_plan

WRONGTYPE = ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")
CONFIG = Config(signing_keys=(b"k",))


class Copy:
    """A copy from canned replies to canned replies; time stands still unless a plan sleeps."""

    def __init__(self, read=None, kind=None, **options):
        self.now, self.sleeps, self.problems, self.read_commands = 0.0, [], [], []
        keys = KeyMap(KeyPattern("o:*", "o:", ""), lambda name: f"n:{name[2:]}", kind)
        clock = lambda: self.now  # noqa: E731
        self.copier = KeyCopier(
            SourceReader(keys, clock=clock),
            self.run_source,
            ValueConverter(read, MemberCodec(CONFIG)),
            CopyOptions(**options),
            on_problem=self.problems.append,
            clock=clock,
        )

    def run_source(self, plan):
        result, sent = run_plan(plan, *[self.replies.pop(0) for _ in range(self.pages.pop(0))])
        self.read_commands += sent
        return result

    def run(self, source, target):
        """
        Args:
            source: for each plan on the source a list of its batches' replies.
            target: the replies to the batches on the target.
        """
        self.pages = [len(each) for each in source]
        self.replies = [reply for each in source for reply in each]
        _, self.written = run_plan(self.copier.copy(), *target)
        assert not self.replies
        return self.copier.progress


SCAN = ("SCAN", "0", "MATCH", "o:*", "COUNT", 1000)


def test_a_page_of_strings_takes_two_commands_for_each_key_and_three_for_the_page():
    copy = Copy()
    progress = copy.run(
        [
            [[[b"0", [b"o:a", b"x", b"o:b", b"o:a"]]], [3, -1, 4, 5000]],
            [[[b"one", b"\xff\xff"]]],
            [[1]],
        ],
        [[b"OK", None]],
    )
    assert copy.read_commands == [
        [SCAN],
        [("STRLEN", "o:a"), ("PTTL", "o:a"), ("STRLEN", "o:b"), ("PTTL", "o:b")],
        [("MGET", "o:a", "o:b")],
        [("EXISTS", "o:a")],
    ]
    assert copy.written == [
        [("SET", "n:a", b"one", "NX"), ("SET", "n:b", b"\xff\xff", "PX", 5000, "NX")]
    ]
    assert progress.outcomes == {"copied": 1, "existing": 1}
    assert (progress.source_commands, progress.target_commands) == (7, 2)
    assert (progress.complete, progress.bytes) == (True, 7)


def test_a_key_that_is_deleted_while_it_is_copied_does_not_come_back():
    copy = Copy()
    progress = copy.run(
        [
            [[[b"0", [b"o:a", b"o:b"]]], [1, -1, 1, -1]],
            [[[b"1", b"2"]]],
            [[1], [0, 1]],
        ],
        [[b"OK", b"OK"], [1]],
    )
    assert copy.written[1] == [("UNLINK", "n:a")]
    assert progress.outcomes == {"copied": 1, "deleted": 1}


def test_a_batch_is_sent_again_after_an_outage_and_its_keys_may_be_its_own(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    copy = Copy()
    progress = copy.run(
        [[[[b"0", [b"o:a"]]], [1, -1]], [[[b"1"]]], [[0], [0]]],
        [ConnectionFailed("reset"), [None], [1]],
    )
    assert copy.written == [[("SET", "n:a", b"1", "NX")]] * 2 + [[("UNLINK", "n:a")]]
    assert progress.get("deleted") == 1


def test_a_request_that_is_too_large_is_divided():
    copy = Copy()
    progress = copy.run(
        [[[[b"0", [b"o:a", b"o:b"]]], [1, -1, 1, -1]], [[[b"1", b"2"]]], [[1]]],
        [RequestTooLarge("ERR max request size exceeded"), [b"OK"], [RequestTooLarge("ERR")]],
    )
    assert progress.outcomes == {"copied": 1, "too_large": 1}
    assert [(each.key, each.outcome) for each in copy.problems] == [("o:b", "too_large")]


def test_a_full_database_ends_the_copy():
    copy = Copy()
    error = CapacityExceeded("ERR DB capacity quota exceeded")
    try:
        copy.run([[[[b"0", [b"o:a"]]], [1, -1]], [[[b"1"]]]], [[error]])
    except CapacityExceeded:
        assert not copy.copier.progress.complete
    else:
        raise AssertionError


def test_values_of_another_format_are_converted_and_unreadable_ones_listed():
    def read(raw):
        return {"n": int(raw)}

    copy = Copy(read)
    progress = copy.run(
        [[[[b"0", [b"o:a", b"o:b"]]], [1, -1, 1, -1]], [[[b"1", b"?"]]], [[1]]], [[b"OK"]]
    )
    assert copy.written == [[("SET", "n:a", b"\x81\xa1n\x01", "NX")]]
    assert progress.outcomes == {"copied": 1, "unreadable": 1}
    assert (copy.problems[0].key, copy.problems[0].detail) == ("o:b", "ValueError")


def test_a_collection_is_renamed_when_it_is_complete():
    copy = Copy()
    progress = copy.run(
        [
            [[[b"0", [b"o:h"]]], [WRONGTYPE, 9000], [b"hash"], [2]],
            [[[b"7", [b"f", b"1"]]]],
            [[[b"0", [b"g", b"2"]]]],
            [[1]],
        ],
        [[0], [0], [1, 1], [1], [1, 1]],
    )
    temporary = "continuum:migration-copy:n:h"
    assert copy.read_commands[3:] == [
        [("HLEN", "o:h")],
        [("HSCAN", "o:h", "0", "COUNT", 200)],
        [("HSCAN", "o:h", "7", "COUNT", 200)],
        [("EXISTS", "o:h")],
    ]
    assert copy.written == [
        [("EXISTS", "n:h")],
        [("UNLINK", temporary)],
        [("HSET", temporary, "f", b"1"), ("PEXPIRE", temporary, 3_600_000)],
        [("HSET", temporary, "g", b"2")],
        [("PEXPIRE", temporary, 9000), ("RENAMENX", temporary, "n:h")],
    ]
    assert progress.outcomes == {"copied": 1}


def test_a_server_without_a_type_filter_is_scanned_without_it():
    copy = Copy(kind="string")
    progress = copy.run(
        [
            [
                [ReplyError("ERR syntax error")],
                [[b"0", [b"o:a", b"o:h"]]],
                [1, -1, WRONGTYPE, -1],
                [b"hash"],
                [1],
            ],
            [[[b"1"]]],
            [[1]],
        ],
        [[b"OK"]],
    )
    assert copy.read_commands[:2] == [[(*SCAN, "TYPE", "string")], [SCAN]]
    assert (progress.scanned, progress.types) == (1, {"string": 1})


def test_the_rate_limits_the_keys_per_second(monkeypatch):
    copy = Copy(rate=4)
    monkeypatch.setattr("time.sleep", copy.sleeps.append)
    empty = [[[b"0", []]]]
    copy.run(
        [[[[b"3", [b"o:a", b"o:b"]]], [1, -1, 1, -1]], [[[b"1", b"2"]]], [[2]], empty],
        [[b"OK", b"OK"]],
    )
    assert copy.sleeps == [0.5]


def test_values_are_read_in_groups_that_fit_in_memory():
    copy = Copy()
    names = [b"o:a", b"o:b", b"o:c"]
    copy.run(
        [
            [[[b"0", names]], [200_000, -1, 200_000, -1, 100, -1]],
            [[[b"1"]]],
            [[1]],
            [[[b"2", b"3"]]],
            [[2]],
        ],
        [[b"OK"], [b"OK", b"OK"]],
    )
    assert [each[0] for each in copy.read_commands[2::2]] == [
        ("MGET", "o:a"),
        ("MGET", "o:b", "o:c"),
    ]
