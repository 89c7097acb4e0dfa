"""What can be wrong with a site's settings: each finding once, with its class and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.core.checks import CheckMessage, Error, Info, Warning  # noqa: A004 Django's names

_PAGE: Final = "docs/reference/checks.md"

# The page has a section for each.
TABLE: Final[dict[str, tuple[Callable[..., CheckMessage], str]]] = {
    "E001": (Error, "Set UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN, or MODE = 'local'."),
    "W001": (
        Warning,
        (
            "Set UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN, or run manage.py "
            "upstash_emulator (pip install 'continuum-upstash[emulator]')."
        ),
    ),
    "E002": (Error, "Correct the entry of CACHES, or the variable that the message names."),
    "E003": (Error, "Give each alias a KEY_PREFIX of its own, or the same serializer."),
    "W003": (Warning, "Give each alias a KEY_PREFIX of its own: clear() of one empties the other."),
    "E004": (Error, "Use https:// or rediss://: token and values travel in plain text."),
    "E005": (Error, "Point SESSION_CACHE_ALIAS to a cache of this package."),
    "E006": (Error, "Correct CONTINUUM_STATS."),
    "E007": (Error, "Install the extra, or switch the entry off."),
    "E008": (
        Error,
        "Set SESSION_ENGINE = 'continuum_upstash.sessions', or take Django's middleware.",
    ),
    "E009": (Error, "Make the directory (mkdir -p), and let this process write there."),
    "W010": (Warning, "Take the token from the environment, or give a callable."),
    "W011": (Warning, "Move the password out of LOCATION into UPSTASH_REDIS_URL."),
    "W012": (Warning, "Use the standard token: with this one every write is refused."),
    "W013": (Warning, "Use SESSION_ENGINE = 'continuum_upstash.sessions', or FALLBACK = False."),
    "W014": (Warning, "Set TIMEOUT, or TTL_BY_PREFIX: what never expires fills the database."),
    "W015": (Warning, "Lower READ_TIMEOUT, so that the cache gives up before the platform does."),
    "W016": (Warning, "Keep sessions in a database of their own, which does not evict."),
    "W017": (Warning, "Set the credentials: a store in the process is shared with nobody."),
    "W018": (Warning, "Use continuum_upstash.sessions.middleware.SessionMiddleware in its place."),
    "W019": (Warning, "Remove ssl_cert_reqs; for a certificate of your own set CA_FILE."),
    "W020": (Warning, "Give sessions an alias of their own, or its keys a version."),
    "W021": (Warning, 'Set SECURE_REDIRECT_EXEMPT = [r"^health/"], by the path of your probes.'),
    "I030": (Info, ""),
    "E040": (Error, "Run manage.py cache_doctor."),
    "E041": (Error, "Switch Eviction off in the console, or give sessions their own database."),
    "I041": (Info, "SESSION_ALLOW_EVICTION accepts that: nothing needs to be done."),
    "E201": (Error, "Write a dict, such as {'ALIAS': 'default', 'POLICIES': {…}}."),
    "E202": (Error, "Correct the entry's name, or delete it."),
    "E203": (Error, "Correct the policy."),
    "E204": (Error, "Give them one algorithm and one window, or groups of their own."),
    "E205": (Error, "Correct RULES."),
    "E206": (Error, "Name the networks of your proxies, or how many there are."),
    "E207": (Error, "Choose one of these."),
    "E208": (Error, "Choose one of these."),
    "E209": (Error, "Write seconds, such as 0.25."),
    "E210": (Error, "Write how many processes there are."),
    "E211": (Error, "Name an entry of CACHES."),
    "E212": (Error, "Name a cache whose BACKEND is continuum_upstash.backend.CacheBackend."),
    "E213": (Error, "Correct the name, or add the policy."),
    "E214": (Error, "Give them groups of their own (with upstash_prefix: prefixes)."),
    "W201": (
        Warning,
        "Set its credentials, or limits are as many times as high as there are processes.",
    ),
    "W202": (
        Warning,
        "Add continuum_upstash.ratelimit.middleware.RateLimitMiddleware to MIDDLEWARE.",
    ),
    "W203": (Warning, "Move it above django.middleware.cache.UpdateCacheMiddleware."),
    "W204": (
        Warning,
        "Name your proxies; silence this where your server sets REMOTE_ADDR to the client itself.",
    ),
    "W205": (Warning, "Switch Eviction off in the console, or name a database that has none."),
    "W206": (
        Warning,
        "Write 'route' as the URLconf does, without a leading slash; 'view' is a name.",
    ),
}


def message(number: str, text: str, alias: str = "", env_prefix: str = "") -> CheckMessage:
    """Return a finding; its hint names the variables of the alias, whose prefix may be its own."""
    kind, hint = TABLE[number]
    hint = hint.replace("UPSTASH_REDIS", f"{env_prefix}UPSTASH_REDIS")
    where = f"{_PAGE}#{number.lower()}"
    label = f"CACHES['{alias}']: {text}" if alias else text
    return kind(label, hint=f"{hint} See {where}".strip(), id=f"continuum_upstash.{number}")
