"""The proxy that the environment names for a host."""

from __future__ import annotations

import sys

import pytest

from continuum_upstash.config import proxies
from continuum_upstash.config.proxies import find_proxy
from continuum_upstash.config.resolve import resolve
from continuum_upstash.errors import ConfigurationError

REST = "https://db.upstash.io"
LOCAL = "http://localhost:8079"
PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({}, REST, None),
        ({"HTTPS_PROXY": PROXY}, REST, (PROXY, "HTTPS_PROXY")),
        ({"https_proxy": PROXY}, REST, (PROXY, "https_proxy")),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, REST, (PROXY, "https_proxy")),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, REST, None),
        ({"HTTPS_PROXY": PROXY}, LOCAL, None),
        ({"HTTP_PROXY": PROXY}, LOCAL, (PROXY, "HTTP_PROXY")),
        ({"HTTP_PROXY": PROXY}, REST, None),
        ({"ALL_PROXY": PROXY}, REST, (PROXY, "ALL_PROXY")),
        ({"ALL_PROXY": "http://other", "https_proxy": PROXY}, REST, (PROXY, "https_proxy")),
        ({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, LOCAL, None),
        ({"http_proxy": PROXY, "REQUEST_METHOD": "GET"}, LOCAL, (PROXY, "http_proxy")),
        # A proxy for other hosts does not matter.
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "socks://proxy"}, REST, (PROXY, "HTTPS_PROXY")),
        ({"HTTP_PROXY": "http://[x"}, REST, None),
        ({"FTP_PROXY": "http://[x", "MY_PROXY": "http://[x"}, REST, None),
        # Forms
        ({"HTTPS_PROXY": "proxy:3128"}, REST, (PROXY, "HTTPS_PROXY")),
        ({"HTTPS_PROXY": ' "http://proxy:3128/"\n'}, REST, (PROXY, "HTTPS_PROXY")),
        ({"HTTPS_PROXY": "HTTP://proxy:3128"}, REST, (PROXY, "HTTPS_PROXY")),
        ({"HTTPS_PROXY": "https://[::1]:3128"}, REST, ("https://[::1]:3128", "HTTPS_PROXY")),
    ],
)
def test_the_variable_for_the_scheme_precedes_the_one_for_all(environ, url, expected):
    found = find_proxy(environ, url)
    assert (found and (found.url, found.source)) == expected


@pytest.mark.parametrize(
    ("text", "url", "auth"),
    [
        ("http://user:p%40ss%23@proxy:3128", PROXY, ("user", "p@ss#")),
        ("http://user:p@ss@proxy:3128", PROXY, ("user", "p@ss")),
        ("user@proxy:3128", PROXY, ("user", "")),
        ("http://:p%ss@proxy:3128", PROXY, ("", "p%ss")),
        ("socks5://user:pass@proxy", "socks5://proxy", ("user", "pass")),
        ("socks5h://proxy:1080", "socks5h://proxy:1080", None),
    ],
)
def test_user_name_and_password_are_decoded(text, url, auth, monkeypatch):
    monkeypatch.setattr(proxies, "find_spec", lambda name: name == "socksio")
    found = find_proxy({"HTTPS_PROXY": text}, REST)
    assert (found.url, found.auth) == (url, auth)
    assert "pass" not in f"{found} {found!r}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://user:s3 cret@proxy:3128", "cannot be parsed"),
        ("http://user:s3\tcret@proxy:3128", "cannot be parsed"),
        ("http://user:s3\ncret@proxy:3128", "cannot be parsed"),
        ("http://user:s3#cret@proxy:3128", "cannot be parsed"),
        ("http://user:3#s3cret@proxy:3128", "cannot be parsed"),
        ("http://user:s3/cret@proxy:3128", "cannot be parsed"),
        ("http://user:3/s3cret@proxy:3128", "cannot be parsed"),
        ("http://user:3?s3cret@proxy:3128", "cannot be parsed"),
        ("http://user:s3[cret@proxy:3128", "cannot be parsed"),
        ("http://user:s3\u2100cret@proxy:3128", "cannot be parsed"),
        ("http://proxy:port", "cannot be parsed"),
        ("http://", "cannot be parsed"),
        (":3128", "cannot be parsed"),
        ("socks://user:s3cret@proxy", "unsupported scheme socks://"),
        ("socks4://proxy", "unsupported scheme socks4://"),
        ("socks5://user:s3cret@proxy", "pip install 'httpx[socks]'"),
        ("socks5h://proxy", "the package socksio is not installed"),
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_that_cannot_be_used_is_an_error_that_names_the_variable(
    text, message, variable, monkeypatch
):
    monkeypatch.setattr(proxies, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=f"The proxy in {variable} ") as caught:
        resolve({"TOKEN": "t0ken"}, {variable: text}, location=REST)
    shown = str(caught.value)
    assert message in shown
    assert caught.value.__cause__ is None
    assert "cret" not in shown


def test_a_proxy_matters_to_rest_only():
    environ = {"ALL_PROXY": "socks://proxy", "REDIS_URL": "rediss://:pw@db.upstash.io"}
    assert resolve({}, environ).proxy is None
    assert resolve({"MODE": "local"}, environ).proxy is None


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("*", REST, True),
        ("upstash.io", REST, True),
        (".upstash.io", REST, True),
        ("*.upstash.io", REST, True),
        ("UPSTASH.IO.", REST, True),
        ("db.upstash.io", "https://db.upstash.io.", True),
        ("db.upstash.io:443", REST, True),
        ("db.upstash.io:444", REST, False),
        ("stash.io", REST, False),
        ("other.io", REST, False),
        ("", REST, False),
        (" other.io ,upstash.io", REST, True),
        ("other.io upstash.io", REST, True),
        ("127.0.0.1", "https://127.0.0.1:8079", True),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.0.0.0/8", REST, False),
        ("::1", "https://[::1]:8079", True),
        ("[::1]", "https://[::1]:8079", True),
        ("[::1]:8079", "https://[::1]:8079", True),
        ("[::1]:80", "https://[::1]:8079", False),
        ("0:0:0:0:0:0:0:1", "https://[::1]:8079", True),
        ("fd00::/8", "https://[fd00::7]", True),
        ("fd00::/8", "https://[fe00::7]", False),
        # Entries that cannot be read apply to no host.
        ("localhost,[::1],fd00::/8", REST, False),
        ("[,],[x,fd00::/999,10.0.0.0/99,http://,:,*.,.,[]", REST, False),
        ("[,fd00::/999,upstash.io", REST, True),
    ],
)
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_hosts_in_no_proxy_are_connected_to_directly(no_proxy, url, direct, variable):
    environ = {"HTTPS_PROXY": PROXY, variable: no_proxy}
    assert (find_proxy(environ, url) is None) is direct


def test_the_systems_proxy_is_used_where_the_environment_names_none(monkeypatch):
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": PROXY})
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: host == "direct.example")
    # Not before urllib.request is imported: it would import a module that only macOS has.
    monkeypatch.setattr(sys, "platform", "darwin")
    assert find_proxy({}, REST).url == PROXY
    assert find_proxy({}, "https://direct.example") is None
    assert find_proxy({"NO_PROXY": "upstash.io"}, REST) is None
    assert find_proxy({"HTTPS_PROXY": "http://other"}, REST).url == "http://other"


def test_proxies_differ_but_not_by_their_variable():
    def config(**environ):
        return resolve({"TOKEN": "t0ken"}, environ, location=REST)

    assert config(HTTPS_PROXY=PROXY) == config(ALL_PROXY=PROXY)
    assert config(HTTPS_PROXY=PROXY) != config()
    assert config(HTTPS_PROXY=PROXY) != config(HTTPS_PROXY="http://user:pw@proxy:3128")
    assert dict(config(ALL_PROXY=PROXY).sources)["proxy"] == "ALL_PROXY"
