"""Every check: its level and its hint, by id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.core.checks import CheckMessage, Error, Info, Warning  # noqa: A004 Django's names

from continuum_upstash.documentation import link_to

# The page has a section for each id, in this order.
CATALOGUE: Final[dict[str, tuple[Callable[..., CheckMessage], str]]] = {
    "E001": (Error, "Set UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN, or MODE = 'local'."),
    "W001": (
        Warning,
        (
            "Set UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN, or run manage.py "
            "upstash_emulator (pip install 'continuum-upstash[emulator]')."
        ),
    ),
    "E002": (Error, "Correct the entry of CACHES, or the variable that the message names."),
    "E003": (Error, "Give each alias its own KEY_PREFIX, or use the same serializer."),
    "W003": (
        Warning,
        "Give each alias its own KEY_PREFIX: clear() of one alias deletes the keys of the other.",
    ),
    "E004": (
        Error,
        "Use https:// or rediss://: the token and all values would be sent unencrypted.",
    ),
    "E005": (Error, "Set SESSION_CACHE_ALIAS to a cache of this package."),
    "E006": (Error, "Correct CONTINUUM_STATS."),
    "E007": (Error, "Install the extra, or disable the entry."),
    "E008": (
        Error,
        "Set SESSION_ENGINE = 'continuum_upstash.sessions', or use Django's middleware.",
    ),
    "E009": (
        Error,
        "Create the directory with mkdir -p, and give the process write access.",
    ),
    "W010": (Warning, "Read the token from the environment, or use a callable."),
    "W011": (
        Warning,
        "Move the URL with the password from LOCATION to the variable UPSTASH_REDIS_URL.",
    ),
    "W012": (Warning, "Use the standard token: with this one every write is refused."),
    "W013": (
        Warning,
        "Set SESSION_ENGINE = 'continuum_upstash.sessions', or FALLBACK = False.",
    ),
    "W014": (
        Warning,
        "Set TIMEOUT or TTL_BY_PREFIX: keys that never expire fill the database.",
    ),
    "W015": (
        Warning,
        "Lower READ_TIMEOUT: the platform ends the request before the local store is used.",
    ),
    "W016": (Warning, "Store sessions in a separate database without eviction."),
    "W017": (Warning, "Set the credentials of a database."),
    "W018": (Warning, "Replace it with continuum_upstash.sessions.middleware.SessionMiddleware."),
    "W019": (
        Warning,
        ("Remove ssl_cert_reqs. If the server uses your own certificate authority, set CA_FILE."),
    ),
    "W021": (Warning, 'Set SECURE_REDIRECT_EXEMPT = [r"^health/"], with the path of your probes.'),
    "W022": (Warning, "Delete the setting."),
    "E023": (Error, "Name a longer prefix, or other keys, in NEAR."),
    "W024": (Warning, "Choose a KEY_PREFIX that does not end in a colon and a version."),
    "E025": (Error, "Write BUDGET['COMMANDS'], or correct CONTINUUM_STATS."),
    "W026": (
        Warning,
        "Remove 'SHARED': False from CONTINUUM_STATS, unless the database is a new one.",
    ),
    "W027": (Warning, "Set the same BUDGET in each alias of the database."),
    "I030": (Info, ""),
    "E040": (Error, "Run manage.py cache_doctor."),
    "E041": (
        Error,
        "Switch Eviction off in the Upstash console, or use a separate database for sessions.",
    ),
    "I041": (Info, "SESSION_ALLOW_EVICTION is set: no action is needed."),
    "E201": (Error, "Set a dict such as {'ALIAS': 'default', 'POLICIES': {…}}."),
    "E202": (Error, "Correct the name of the entry, or remove it."),
    "E203": (Error, "Correct the policy."),
    "E204": (Error, "Use the same algorithm and window, or separate groups."),
    "E205": (Error, "Correct RULES."),
    "E206": (Error, "List the networks of your proxies, or set the number of proxies."),
    "E207": (Error, "Choose one of these values."),
    "E208": (Error, "Choose one of these values."),
    "E209": (Error, "Set a number of seconds, such as 0.25."),
    "E210": (Error, "Set the number of processes."),
    "E211": (Error, "Set the name of an entry of CACHES."),
    "E212": (
        Error,
        "Name a cache whose BACKEND is continuum_upstash.backend.CacheBackend.",
    ),
    "E213": (Error, "Correct the name, or add the policy."),
    "E214": (Error, "Use separate groups, or with upstash_prefix separate prefixes."),
    "W201": (
        Warning,
        (
            "Set the credentials of its database: otherwise the effective limit is multiplied by "
            "the number of processes."
        ),
    ),
    "W202": (
        Warning,
        "Add continuum_upstash.ratelimit.middleware.RateLimitMiddleware to MIDDLEWARE.",
    ),
    "W203": (Warning, "Move it above django.middleware.cache.UpdateCacheMiddleware."),
    "W204": (
        Warning,
        (
            "Set TRUSTED_PROXIES. If your server sets REMOTE_ADDR to the address of the client, "
            "silence this check."
        ),
    ),
    "W205": (
        Warning,
        "Switch Eviction off in the Upstash console, or use a database without eviction.",
    ),
    "W206": (
        Warning,
        "Write 'route' as in the URLconf, without a leading slash, and 'view' as a URL name.",
    ),
    "E301": (Error, "Correct the entry of TASKS, or the variable that the message names."),
    "E302": (
        Error,
        (
            "Name a cache whose BACKEND is continuum_upstash.backend.CacheBackend in USING, and "
            "set the credentials of its database."
        ),
    ),
    "E303": (Error, "pip install 'continuum-upstash[qstash]'."),
    "E304": (
        Error,
        "Switch Eviction off in the Upstash console, or use a separate database for jobs.",
    ),
    "W301": (Warning, "Use https://: QStash calls this URL over the internet."),
    "W302": (
        Warning,
        (
            "Include continuum_upstash.federation.urls in the URLconf, and set the public URL of "
            "its tasks/run/."
        ),
    ),
    "E311": (Error, "Correct the entry of CONTINUUM_FEDERATION that the message names."),
    "E312": (
        Error,
        (
            "Name a cache whose BACKEND is continuum_upstash.backend.CacheBackend in ALIAS, and "
            "set the credentials of its database."
        ),
    ),
    "W311": (Warning, "Store jobs in a separate database without eviction."),
    "E401": (Error, "Correct the entry of CONTINUUM_LIVE that the message names."),
    "E402": (
        Error,
        "Name a cache whose BACKEND is continuum_upstash.backend.CacheBackend in USING.",
    ),
    "E501": (Error, "Correct the entry, or that of OLD or NEW."),
    "E502": (Error, "Give one of them another KEY_PREFIX, or read the old values in place."),
    "W501": (Warning, "Set the same TIMEOUT: otherwise values expire at different times."),
}


def check_message(check_id: str, text: str, alias: str = "", env_prefix: str = "") -> CheckMessage:
    """Return a message of the check framework.

    Args:
        check_id: a key of `CATALOGUE`.
        text: what is wrong.
        alias: the CACHES entry that it is about, if it is about one.
        env_prefix: the ENV_PREFIX of the alias, for the variables in the hint.
    """
    level, hint = CATALOGUE[check_id]
    hint = hint.replace("UPSTASH_REDIS", f"{env_prefix}UPSTASH_REDIS")
    section = link_to("reference/checks", check_id.lower())
    label = f"CACHES['{alias}']: {text}" if alias else text
    return level(label, hint=f"{hint} See {section}".strip(), id=f"continuum_upstash.{check_id}")
