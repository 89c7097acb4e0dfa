"""Whatever is pasted into a variable, the error is ours and shows no secret."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from continuum_upstash.config.resolve import resolve
from continuum_upstash.errors import ConfigurationError

SCHEMES = st.sampled_from(
    ["https://", "http://", "rediss://", "redis://", "unix://", "socks5://", "socks://", "//", ""]
)
JUNK = st.text("[]:/@#?% \t\n\\<>'\"{}|^`é℀\u200bab1.-_*,;=&+~", max_size=4)
URLS = st.builds(
    "{}{}{}{}{}".format,
    SCHEMES,
    st.builds("default:s3cret{}@".format, JUNK) | st.just(""),
    st.sampled_from(["db.upstash.io", "127.0.0.1", "[::1]", "[::1", "[x]", "h"]),
    JUNK,
    st.sampled_from(["", ":6379", "/0", "?db=1"]),
)


def show(options, environ, location=""):
    """Return all text of a configuration, or of its error; any other error fails the test."""
    try:
        config = resolve(options, environ, location=location)
    except ConfigurationError as error:
        return str(error)
    return f"{config!r} {config.label} {config.server_identity} {config.proxy}"


@given(url=URLS, mode=st.sampled_from(["auto", "rest", "redis"]), token=JUNK)
@example(url="//default:s3cret@h", mode="auto", token="t0ken")
def test_urls(url, mode, token):
    pair = {"UPSTASH_REDIS_REST_URL": url, "UPSTASH_REDIS_REST_TOKEN": f"s3cret{token}"}
    assert "s3cret" not in show({"MODE": mode}, pair)
    assert "s3cret" not in show({"MODE": mode}, {"REDIS_URL": url})
    assert "s3cret" not in show({"TOKEN": "t0ken"}, {}, location=url)


@given(proxy=URLS, no_proxy=st.lists(JUNK | st.sampled_from(["[::1]", "fd00::/8"])))
def test_proxies(proxy, no_proxy):
    environ = {"ALL_PROXY": proxy, "NO_PROXY": ",".join(no_proxy)}
    for url in ("https://db.upstash.io", "http://[::1]:8079", "http://10.0.0.1"):
        assert "s3cret" not in show({"REST_URL": url, "TOKEN": "t0ken"}, environ)
