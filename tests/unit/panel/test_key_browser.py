"""The key browser's rules: masks, visible text, times, patterns and exact commands."""

from __future__ import annotations

import pytest

from continuum_upstash.panel.key_browser.durations import format_ttl, parse_seconds
from continuum_upstash.panel.key_browser.masking import (
    HIDDEN,
    ProtectionFinder,
    is_family_hidden,
    mask_key,
)
from continuum_upstash.panel.key_browser.pattern_deletion import is_too_wide
from continuum_upstash.panel.key_browser.position import Position
from continuum_upstash.panel.key_browser.scope import make_glob
from continuum_upstash.panel.key_browser.values.visible_text import (
    dump_bytes,
    escape_text,
    show_text,
)

HOUR, DAY = 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("ttl_ms", "text"),
    [
        (None, "never"),
        (0, "0 s"),
        (1, "1 s"),
        (59_001, "60 s"),
        (119_000, "119 s"),
        (120_000, "2 min"),
        (HOUR - 1000, "59 min"),
        (HOUR + 60_000, "1 h 1 min"),
        (DAY, "1 d 0 h"),
        (400 * DAY + 5 * HOUR, "400 d 5 h"),
    ],
)
def test_times_to_live_are_words(ttl_ms, text):
    assert str(format_ttl(ttl_ms)) == text


@pytest.mark.parametrize(
    ("amount", "unit", "seconds"),
    [
        ("5", "minutes", 300),
        ("0", "days", 0),
        ("3650", "days", 3650 * 86_400),
        ("3651", "days", None),
        ("-1", "seconds", None),
        ("1.5", "hours", None),
        ("٣", "hours", None),
        ("9" * 5000, "seconds", None),
        ("", "seconds", None),
        ("5", "weeks", None),
    ],
)
def test_a_time_of_a_form_is_validated(amount, unit, seconds):
    assert parse_seconds(amount, unit) == seconds


@pytest.mark.parametrize(
    ("key", "masked"),
    [
        ("query:1", "query:1"),
        ("api-token:ada", f"api-token:{HIDDEN}"),
        ("user:7:password:x", f"user:7:password:{HIDDEN}"),
        ("resetTokens:abc", f"resetTokens:{HIDDEN}"),
        ("Cookieabc", f"Cookie{HIDDEN}"),
    ],
)
def test_a_key_with_a_hidden_word_is_masked_behind_it(key, masked):
    assert mask_key(key) == masked


def test_a_family_is_hidden_only_if_its_own_name_has_a_hidden_part():
    assert not is_family_hidden("api-token:")
    assert not is_family_hidden("query:")
    assert is_family_hidden("tokenabc:")


@pytest.mark.parametrize(
    ("key", "kind", "visible"),
    [
        ("continuum:session:shop:abc", "session", "continuum:session:"),
        ("continuum:session-user:shop:7", "session", "continuum:session-user:"),
        ("shop:1:django.contrib.sessions.cacheabcdefgh12", "session", "shop:1:django.contrib."),
        ("shop:1:django.contrib.sessions.cached_dbabcdefgh12", "session", "shop:1:django."),
        ("continuum:ratelimit:shop:login:xyz", "rate limit", "continuum:ratelimit:"),
        ("@upstash/ratelimit:1.2.3.4:1", "rate limit", "@upstash/ratelimit:"),
        ("continuum:stats:abc", "statistics", "continuum:stats:"),
        ("continuum:tag:shop:xyz", "cache tag", "continuum:tag:"),
        ("continuum:lease:shop:xyz", "lock", "continuum:lease:"),
    ],
)
def test_keys_of_features_are_protected_and_masked(key, kind, visible):
    found = ProtectionFinder().find(key)
    assert str(found.kind) == kind
    assert found.masked.startswith(visible)
    assert found.masked.endswith(HIDDEN)
    assert key.rpartition(":")[2] not in found.masked


def test_a_key_of_the_cache_is_not_protected():
    assert ProtectionFinder().find("shop:1:query:1") is None


def test_unprintable_characters_become_visible():
    assert escape_text("a\x1b[31m\u202eb\n") == "a\\x1b[31m\\u202eb\\n"
    assert escape_text("a\nb", keep="\n") == "a\nb"
    assert escape_text("\ud800") == "\\ud800"


def test_only_escapes_are_marked_and_markup_is_escaped():
    html = show_text("<b>\\x1b\x1b")
    assert html == '&lt;b&gt;\\x1b<span class="ck-mark">\\x1b</span>'


def test_bytes_are_dumped_with_their_offset():
    assert dump_bytes(b"a\0" * 9).splitlines() == [
        "0000  " + "61 00 " * 8 + " a.a.a.a.a.a.a.a.",
        "0010  61 00" + " " * 43 + " a.",
    ]


@pytest.mark.parametrize(
    ("text", "glob"),
    [("", "*"), ("query:", "query:*"), ("query:*:1", "query:*:1"), ("a?", "a?"), ("a[1]", "a[1]")],
)
def test_text_without_wildcards_is_the_beginning_of_a_key(text, glob):
    assert make_glob(text) == glob


def test_a_pattern_for_every_key_is_too_wide():
    assert is_too_wide("")
    assert is_too_wide("**?")
    assert not is_too_wide("a*")


def test_a_position_is_valid_for_its_search_only():
    position = Position("18446744073709551615", 3000, 40, 3)
    text = position.sign("default:False:query:*")
    assert Position.read(text, "default:False:query:*") == position
    assert Position.read(text, "default:False:page:*") is None
    for forged in ("12", "", "a:b", text[:-1], text.replace(":", ".")):
        assert Position.read(forged, "default:False:query:*") is None
