"""URLs that cannot be parsed, and what a host name says."""

from __future__ import annotations

import pytest

from continuum_upstash.config.urls import is_private, is_upstash, split_url


@pytest.mark.parametrize(
    "url",
    [
        "rediss://default:pa[ss@db.upstash.io:6379",
        "rediss://default:pa]ss@db.upstash.io:6379",
        "rediss://default:pa\u2100ss@db.upstash.io:6379",  # NFKC: a/c
        "rediss://default:pa#ss@db.upstash.io:6379",
        "rediss://default:12#ss@db.upstash.io:6379",
        "rediss://default:12/ss@db.upstash.io:6379",
        "rediss://default:12?ss@db.upstash.io:6379",
        "rediss://default:pa\tss@db.upstash.io:6379",
        "https://db.upstash.io:port",
        "https://db.upstash.io:99999",
        "https://db upstash.io",
        "https://a..b",
        "https://db.upstash.io..",
        "https://" + "x" * 70,
        "https://" + "ü" * 60,
        "//[x",
        "https://[::1",
        "https://[x]",
    ],
)
def test_a_url_that_urllib_rejects_or_misreads_has_no_parts(url):
    assert split_url(url) is None


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://db.upstash.io", "db.upstash.io"),
        ("https://db.upstash.io.", "db.upstash.io."),
        ("https://DB.upstash.io", "db.upstash.io"),
        ("https://bücher.example", "bücher.example"),
        ("rediss://default:p%23%2F%40ss@db.upstash.io:6379", "db.upstash.io"),
        ("rediss://default:p@ss@db.upstash.io:6379", "db.upstash.io"),
        ("redis://[::1]:6379/0", "::1"),
        ("redis://under_score:6379", "under_score"),
        ("unix:///run/a@b.sock?password=p@ss", None),
    ],
)
def test_the_parts_of_a_url(url, host):
    assert split_url(url).hostname == host


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("fd00::1", True),
        ("localhost", True),
        ("redis", True),
        ("db.internal", True),
        ("db.internal.", True),
        ("fly-late-waterfall-1133.upstash.io", True),
        ("fly-late-waterfall-1133.upstash.io.", True),
        ("shop.flycast", True),
        ("100.64.0.7", True),  # Tailscale's, for example
        ("fe80::1", True),
        ("8.8.8.8", False),
        ("2a09:8280:1::1", False),
        ("db.upstash.io", False),
        ("db-fly-1133.upstash.io", False),
        ("fly-late-waterfall-1133.example.com", False),
    ],
)
def test_unencrypted_traffic_is_acceptable_to_private_hosts_only(host, private):
    assert is_private(host) is private


def test_an_absolute_host_name_of_upstash_is_recognized():
    assert is_upstash("db.upstash.io")
    assert is_upstash("db.upstash.io.")
    assert not is_upstash("upstash.io.example.com")
