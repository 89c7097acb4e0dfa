"""Policies: what is limited, and how. They are data, made from settings or in code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from http import HTTPMethod
from itertools import combinations
from typing import Any, Final, Literal, TypeAlias, get_args

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest

from continuum_upstash.errors import ConfigurationError, suggest_similar
from continuum_upstash.keys import RATELIMIT_KEYS, SHADOW_RATELIMIT_KEYS
from continuum_upstash.ratelimit.client_ip import Network, parse_network
from continuum_upstash.ratelimit.engine.algorithms import Algorithm
from continuum_upstash.ratelimit.rate import Rate, parse_rate

OnError: TypeAlias = Literal["local", "deny", "allow"]

_NAME: Final = re.compile(r"[a-z0-9_-]{1,32}")
_GROUP: Final = re.compile(r"[^\s{}]{1,200}")

# A policy's key consists of sources: these, and get:q, header:X-Api-Key or post:username.
_USER_SOURCES: Final = frozenset({"user", "user_or_ip"})
_SOURCES: Final = _USER_SOURCES | {"ip"}
ADDRESS_SOURCES: Final = frozenset({"ip", "user_or_ip"})
FIELD_SOURCES: Final = ("get", "header", "post")
STAFF: Final = "staff"

_METHODS: Final = frozenset(HTTPMethod.__members__)
_OPTION_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "group": (str,),
    "shadow": (bool,),
    "headers": (bool,),
    "upstash_prefix": (str, type(None)),
    "analytics": (bool,),
}
_ALIGNED_ALGORITHMS: Final = frozenset({"fixed", "sliding"})

MAX_LIMIT: Final = 999_999_999  # as many digits as a rate may have

# The strict algorithm counts the oldest bucket as a whole: with more buckets it denies less.
_BUCKETS, _BUCKETS_OF_SHORT_WINDOWS, _SHORT_WINDOW = 20, 10, 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One limit.

    Attributes:
        name: 1 to 32 of the characters ``a-z 0-9 _ -``; clients see it in headers.
        rate: the maximum per window; for a token bucket, the tokens that each window adds.
        algorithm: how requests are counted, see `continuum_upstash.ratelimit.engine.algorithms`.
        key: what identifies a client: ``ip``, ``user``, ``user_or_ip``, ``header:X-Api-Key``,
            ``post:username``, ``get:q``, several of these joined by ``+``, or a function of the
            request that returns a string.
        cost: the cost of a request, or a function of the request that returns it.
        group: policies of one group share their counters; empty: this policy has its own.
        methods: the HTTP methods that count, where GET includes HEAD; None: all.
        exempt: which requests are not counted: networks, ``staff``, or functions of the request
            that return a bool.
        on_error: what applies while the limiter is unavailable: ``local`` (a limit of this
            process), ``deny`` or ``allow``.
        shadow: count in separate counters, and refuse no request.
        burst: the capacity of a token bucket; None: the rate's limit.
        headers: whether clients receive rate-limit headers.
        upstash_prefix: share the counters, the dynamic limit and the deny list of a Ratelimit of
            @upstash/ratelimit that has this prefix.
        analytics: record the decisions in the analytics of that Ratelimit.
        limit: the maximum cost that can be charged at once.
        counter_name: the group, or the name.
        is_window_aligned: whether the names of its keys contain the number of a window.
        needs_user: whether the logged-in user must be known.
        has_callables: whether its key, cost or exempt contains a function of the request.
    """

    name: str
    rate: Rate
    algorithm: Algorithm = "strict"
    key: str | Callable[[HttpRequest], str | None] = "user_or_ip"
    cost: int | Callable[[HttpRequest], int] = 1
    group: str = ""
    methods: frozenset[str] | None = None
    exempt: tuple[Network | Literal["staff"] | Callable[[HttpRequest], bool], ...] = ()
    on_error: OnError = "local"
    shadow: bool = False
    burst: int | None = None
    headers: bool = True
    upstash_prefix: str | None = None
    analytics: bool = False
    # Computed once, because each check reads them.
    limit: int = field(init=False, repr=False, compare=False)
    counter_name: str = field(init=False, repr=False, compare=False)
    is_window_aligned: bool = field(init=False, repr=False, compare=False)
    needs_user: bool = field(init=False, repr=False, compare=False)
    has_callables: bool = field(init=False, repr=False, compare=False)
    _bucket_width: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        is_short = self.rate.window < _SHORT_WINDOW
        buckets = _BUCKETS_OF_SHORT_WINDOWS if is_short else _BUCKETS
        for name, value in (
            ("limit", self.rate.limit if self.burst is None else self.burst),
            ("counter_name", self.group or self.name),
            ("is_window_aligned", self.algorithm in _ALIGNED_ALGORITHMS),
            ("needs_user", STAFF in self.exempt or not _USER_SOURCES.isdisjoint(self.sources)),
            ("has_callables", any(map(callable, (self.key, self.cost, *self.exempt)))),
            ("_bucket_width", max(1, self.rate.window // buckets)),
        ):
            object.__setattr__(self, name, value)
        problem = next(_find_problems(self), None)
        if problem is not None:
            raise ConfigurationError(f"Policy '{self.name}': {problem}")

    @property
    def sources(self) -> Sequence[str]:
        """The parts of its key; empty if the key is a function."""
        return () if callable(self.key) else str(self.key).split("+")

    @property
    def reads_body(self) -> bool:
        """Whether its key contains a field of the request's body."""
        return any(source.startswith("post:") for source in self.sources)

    def get_algorithm_param(self, now: int) -> int:
        """Return `Check.param`, see `continuum_upstash.ratelimit.engine.algorithms`.

        Args:
            now: Unix milliseconds.
        """
        if self.algorithm == "strict":
            return self._bucket_width
        if self.algorithm == "token_bucket":
            return self.rate.limit
        return now - now % self.rate.window

    def build_key_prefix(self, namespace: str, identity: str) -> str:
        """Return the common prefix of the Redis keys of one client.

        Args:
            namespace: the KEY_PREFIX of the alias.
            identity: the client, hashed unless the policy has an upstash_prefix.
        """
        if self.upstash_prefix is not None:
            return f"{'shadow:' if self.shadow else ''}{self.upstash_prefix}:{identity}"
        family = SHADOW_RATELIMIT_KEYS if self.shadow else RATELIMIT_KEYS
        return f"{family}{namespace}:{self.counter_name}:{identity}"

    def build_keys(self, key_prefix: str, now: int) -> tuple[str, ...]:
        """Return the Redis keys: the prefix, ``:`` and the window, or similar ones.

        Args:
            key_prefix: the result of `build_key_prefix`.
            now: Unix milliseconds.
        """
        window = self.rate.window
        if self.algorithm == "strict":
            return (f"{key_prefix}:{window}ms",)
        number = now // window
        if self.algorithm == "fixed":
            return (f"{key_prefix}:{number}",)
        if self.algorithm == "sliding":
            return (f"{key_prefix}:{number}", f"{key_prefix}:{number - 1}")
        return (key_prefix,)


def find_shared_counters(policies: Sequence[Policy]) -> Iterator[tuple[Policy, Policy]]:
    """Yield the pairs of policies that would charge one counter twice in one decision."""
    for one, other in combinations(policies, 2):
        if one != other and one.build_key_prefix("", "") == other.build_key_prefix("", ""):
            yield one, other


def describe_shared_counter(one: Policy, other: Policy) -> str:
    """Return the error message for such a pair."""
    return (
        f"The policies '{one.name}' and '{other.name}' share a counter, so they cannot apply to "
        "one request together. Use separate groups, or with upstash_prefix separate prefixes."
    )


OPTIONS: Final = frozenset(each.name for each in fields(Policy) if each.init) - {"name"}


def parse_policy(name: str, options: Mapping[str, Any]) -> Policy:
    """Return the policy that settings or a decorator describe.

    Args:
        name: the policy's name.
        options: the attributes of `Policy`, with the rate as text.

    Raises:
        ConfigurationError: an option is unknown, missing or invalid.
    """
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"Policy '{name}' must be a dict with a rate, not {options!r}.")
    for option in options:
        if option not in OPTIONS:
            hint = suggest_similar(str(option), OPTIONS)
            raise ConfigurationError(f"Policy '{name}': unknown option '{option}'.{hint}")
        types = _OPTION_TYPES.get(option)
        if types and not isinstance(options[option], types):
            expected = " or ".join(each.__name__ for each in types)
            raise ConfigurationError(
                f"Policy '{name}': {option} must be a {expected}, not {options[option]!r}."
            )
    if "rate" not in options:
        raise ConfigurationError(f"Policy '{name}' has no rate. Set one, such as \"100/m\".")
    values = dict(options)
    try:
        values["rate"] = parse_rate(values["rate"])
        values["exempt"] = tuple(map(_parse_exempt, _as_list(values.get("exempt", ()))))
        if values.get("methods") is not None:
            values["methods"] = _parse_methods(values["methods"])
    except ConfigurationError as error:
        raise ConfigurationError(f"Policy '{name}': {error}") from None
    return Policy(name=name, **values)


def _parse_methods(methods: Any) -> frozenset[str]:
    names = frozenset(str(method).upper() for method in _as_list(methods))
    unknown = ", ".join(sorted(names - _METHODS))
    if unknown or not names:
        raise ConfigurationError(
            f"methods must be None for all, or some of {', '.join(sorted(_METHODS))}, not "
            f"{unknown or 'an empty list'}."
        )
    return names | {"HEAD"} if "GET" in names else names


def _parse_exempt(exempt: Any) -> Any:
    if callable(exempt) or exempt == STAFF:
        return exempt
    try:
        return parse_network(exempt)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"exempt: {error} Other valid values are 'staff' and functions of the request."
        ) from None


def _as_list(value: Any) -> Iterable[Any]:
    is_single = isinstance(value, str) or not isinstance(value, Iterable)
    return [value] if is_single else value


def _find_problems(policy: Policy) -> Iterator[str]:
    if not _NAME.fullmatch(policy.name):
        yield "the name must consist of 1 to 32 of the characters a-z, 0-9, _ and -."
    if policy.group and not _GROUP.fullmatch(policy.group):
        yield "group must have at most 200 characters, and no white space or braces."
    if policy.algorithm not in get_args(Algorithm):
        yield f"algorithm must be one of {', '.join(get_args(Algorithm))}."
    if policy.on_error not in get_args(OnError):
        yield f"on_error must be one of {', '.join(get_args(OnError))}."
    if policy.burst is not None and policy.algorithm != "token_bucket":
        yield "burst is an option of the algorithm token_bucket only."
    if type(policy.limit) is not int or not 1 <= policy.limit <= MAX_LIMIT:
        yield f"burst must be an integer from 1 to {MAX_LIMIT}."
    yield from _find_sharing_problems(policy)
    if not callable(policy.cost) and not _is_valid_cost(policy.cost, policy.limit):
        yield f"cost must be an integer from 1 to the limit, {policy.limit}."
    yield from filter(None, map(_find_source_problem, policy.sources))
    if any(map(iscoroutinefunction, (policy.key, policy.cost, *policy.exempt))):
        yield "key, cost and exempt must not be async functions."


def _find_sharing_problems(policy: Policy) -> Iterator[str]:
    if policy.upstash_prefix is None:
        if policy.analytics:
            yield "analytics is an option of policies with an upstash_prefix only."
    elif policy.algorithm == "strict":
        yield (
            "@upstash/ratelimit has no strict algorithm. With upstash_prefix, use fixed, sliding "
            "or token_bucket."
        )


def _is_valid_cost(cost: object, limit: int) -> bool:
    return type(cost) is int and 1 <= cost <= limit


def _find_source_problem(source: str) -> str | None:
    name, _, argument = source.partition(":")
    if source in _SOURCES or (name in FIELD_SOURCES and argument):
        return None
    return (
        "key must be ip, user, user_or_ip, header:X-Api-Key, post:username, get:q, several of "
        f"these joined by +, or a function of the request, not {source!r}."
    )
