"""Every check: its level and its hint, by id."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from django.core.checks import CheckMessage, Error, Info, Warning  # noqa: A004 Django's names
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from continuum_upstash.documentation import link_to

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

# The page has a section for each id, in this order.
CATALOGUE: Final[dict[str, tuple[Callable[..., CheckMessage], str | _StrPromise]]] = {
    "E001": (
        Error,
        _("Set UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN, or MODE = 'local'."),
    ),
    "W001": (
        Warning,
        _(
            "Set UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN, or run manage.py "
            "upstash_emulator (pip install 'continuum-upstash[emulator]')."
        ),
    ),
    "E002": (Error, _("Correct the entry of CACHES, or the variable that the message names.")),
    "E003": (Error, _("Give each alias its own KEY_PREFIX, or use the same serializer.")),
    "W003": (
        Warning,
        _(
            "Give each alias its own KEY_PREFIX: clear() of one alias deletes the keys of the "
            "other."
        ),
    ),
    "E004": (
        Error,
        _("Use https:// or rediss://: the token and all values would be sent unencrypted."),
    ),
    "E005": (Error, _("Set SESSION_CACHE_ALIAS to a cache of this package.")),
    "E006": (Error, _("Correct CONTINUUM_STATS.")),
    "E007": (Error, _("Install the extra, or disable the entry.")),
    "E008": (
        Error,
        _("Set SESSION_ENGINE = 'continuum_upstash.sessions', or use Django's middleware."),
    ),
    "E009": (Error, _("Create the directory with mkdir -p, and give the process write access.")),
    "W010": (Warning, _("Read the token from the environment, or use a callable.")),
    "W011": (
        Warning,
        _("Move the URL with the password from LOCATION to the variable UPSTASH_REDIS_URL."),
    ),
    "W012": (Warning, _("Use the standard token: with this one every write is refused.")),
    "W013": (Warning, _("Set SESSION_ENGINE = 'continuum_upstash.sessions', or FALLBACK = False.")),
    "W014": (Warning, _("Set TIMEOUT or TTL_BY_PREFIX: keys that never expire fill the database.")),
    "W015": (
        Warning,
        _("Lower READ_TIMEOUT: the platform ends the request before the local store is used."),
    ),
    "W016": (Warning, _("Store sessions in a separate database without eviction.")),
    "W017": (Warning, _("Set the credentials of a database.")),
    "W018": (
        Warning,
        _("Replace it with continuum_upstash.sessions.middleware.SessionMiddleware."),
    ),
    "W019": (
        Warning,
        _("Remove ssl_cert_reqs. If the server uses your own certificate authority, set CA_FILE."),
    ),
    "W021": (
        Warning,
        _('Set SECURE_REDIRECT_EXEMPT = [r"^health/"], with the path of your probes.'),
    ),
    "W022": (Warning, _("Delete the setting.")),
    "E023": (Error, _("Name a longer prefix, or other keys, in NEAR.")),
    "W024": (Warning, _("Choose a KEY_PREFIX that does not end in a colon and a version.")),
    "E025": (Error, _("Write BUDGET['COMMANDS'], or correct CONTINUUM_STATS.")),
    "W026": (
        Warning,
        _("Remove 'SHARED': False from CONTINUUM_STATS, unless the database is a new one."),
    ),
    "W027": (Warning, _("Set the same BUDGET in each alias of the database.")),
    "I030": (Info, ""),
    "E040": (Error, _("Run manage.py cache_doctor.")),
    "E041": (
        Error,
        _("Switch Eviction off in the Upstash console, or use a separate database for sessions."),
    ),
    "I041": (Info, _("SESSION_ALLOW_EVICTION is set: no action is needed.")),
    "E201": (Error, _("Set a dict such as {'ALIAS': 'default', 'POLICIES': {…}}.")),
    "E202": (Error, _("Correct the name of the entry, or remove it.")),
    "E203": (Error, _("Correct the policy.")),
    "E204": (Error, _("Use the same algorithm and window, or separate groups.")),
    "E205": (Error, _("Correct RULES.")),
    "E206": (Error, _("List the networks of your proxies, or set the number of proxies.")),
    "E207": (Error, _("Choose one of these values.")),
    "E208": (Error, _("Choose one of these values.")),
    "E209": (Error, _("Set a number of seconds, such as 0.25.")),
    "E210": (Error, _("Set the number of processes.")),
    "E211": (Error, _("Set the name of an entry of CACHES.")),
    "E212": (Error, _("Name a cache whose BACKEND is continuum_upstash.backend.CacheBackend.")),
    "E213": (Error, _("Correct the name, or add the policy.")),
    "E214": (Error, _("Use separate groups, or with upstash_prefix separate prefixes.")),
    "W201": (
        Warning,
        _(
            "Set the credentials of its database: otherwise the effective limit is multiplied "
            "by the number of processes."
        ),
    ),
    "W202": (
        Warning,
        _("Add continuum_upstash.ratelimit.middleware.RateLimitMiddleware to MIDDLEWARE."),
    ),
    "W203": (Warning, _("Move it above django.middleware.cache.UpdateCacheMiddleware.")),
    "W204": (
        Warning,
        _(
            "Set TRUSTED_PROXIES. If your server sets REMOTE_ADDR to the address of the client, "
            "silence this check."
        ),
    ),
    "W205": (
        Warning,
        _("Switch Eviction off in the Upstash console, or use a database without eviction."),
    ),
    "W206": (
        Warning,
        _("Write 'route' as in the URLconf, without a leading slash, and 'view' as a URL name."),
    ),
    "E301": (Error, _("Correct the entry of TASKS, or the variable that the message names.")),
    "E302": (
        Error,
        _(
            "Name a cache whose BACKEND is continuum_upstash.backend.CacheBackend in USING, and "
            "set the credentials of its database."
        ),
    ),
    "E303": (Error, "pip install 'continuum-upstash[qstash]'."),
    "E304": (
        Error,
        _("Switch Eviction off in the Upstash console, or use a separate database for jobs."),
    ),
    "W301": (Warning, _("Use https://: QStash calls this URL over the internet.")),
    "W302": (
        Warning,
        _(
            "Include continuum_upstash.federation.urls in the URLconf, and set the public URL "
            "of its tasks/run/."
        ),
    ),
    "E311": (Error, _("Correct the entry of CONTINUUM_FEDERATION that the message names.")),
    "E312": (
        Error,
        _(
            "Name a cache whose BACKEND is continuum_upstash.backend.CacheBackend in ALIAS, and "
            "set the credentials of its database."
        ),
    ),
    "W311": (Warning, _("Store jobs in a separate database without eviction.")),
    "E401": (Error, _("Correct the entry of CONTINUUM_LIVE that the message names.")),
    "E402": (
        Error,
        _("Name a cache whose BACKEND is continuum_upstash.backend.CacheBackend in USING."),
    ),
    "E501": (Error, _("Correct the entry, or that of OLD or NEW.")),
    "E502": (Error, _("Give one of them another KEY_PREFIX, or read the old values in place.")),
    "W501": (Warning, _("Set the same TIMEOUT: otherwise values expire at different times.")),
}


def check_message(check_id: str, text: str, alias: str = "", env_prefix: str = "") -> CheckMessage:
    """Return a message of the check framework, in the active language.

    Args:
        check_id: a key of `CATALOGUE`.
        text: what is wrong, translated.
        alias: the CACHES entry that it is about, if it is about one.
        env_prefix: the ENV_PREFIX of the alias, for the variables in the hint.
    """
    level, hint = CATALOGUE[check_id]
    fix = str(hint).replace("UPSTASH_REDIS", f"{env_prefix}UPSTASH_REDIS")
    section = gettext("See {url}").format(url=link_to("reference/checks", check_id.lower()))
    label = f"CACHES['{alias}']: {text}" if alias else text
    return level(label, hint=f"{fix} {section}".strip(), id=f"continuum_upstash.{check_id}")
