"""What is limited, and how: data, made from settings or in code."""

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
from continuum_upstash.ratelimit import rate as rates
from continuum_upstash.ratelimit.client_ip import Network, network
from continuum_upstash.ratelimit.engine.algorithms import Algorithm
from continuum_upstash.ratelimit.rate import Rate

OnError: TypeAlias = Literal["local", "deny", "allow"]

_NAME: Final = re.compile(r"[a-z0-9_-]{1,32}")
_GROUP: Final = re.compile(r"[^\s{}]{1,200}")
_USERS: Final = frozenset({"user", "user_or_ip"})
KINDS: Final = _USERS | {"ip"}
ADDRESSES: Final = frozenset({"ip", "user_or_ip"})
NAMED_KINDS: Final = ("get", "header", "post")
STAFF: Final = "staff"

_METHODS: Final = frozenset(HTTPMethod.__members__)
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "group": (str,),
    "shadow": (bool,),
    "headers": (bool,),
    "upstash_prefix": (str, type(None)),
}
_ALIGNED: Final = frozenset({"fixed", "sliding"})

_MOST: Final = 999_999_999  # as a rate has it

# A bucket is what the strict algorithm may be too severe by: the more of them, the less.
_BUCKETS, _BUCKETS_OF_SHORT_WINDOWS, _SHORT = 20, 10, 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One limit.

    Attributes:
        name: of ``a-z 0-9 _ -``; clients see it in headers.
        rate: so many in so long; for a token bucket, what comes back in so long.
        algorithm: how it is counted; see algorithms.py.
        key: who is counted: ``ip``, ``user``, ``user_or_ip``, ``header:X-Api-Key``,
            ``post:username``, ``get:q``, several joined by ``+``, or a function of the request.
        cost: what a request takes, or a function of the request.
        group: policies of one group share their counters.
        methods: the HTTP methods that count, HEAD as GET; None: all.
        exempt: who does not count: networks, ``staff``, or functions of the request.
        on_error: what happens while the database cannot be asked: a limit of this process, a
            refusal, or nothing.
        shadow: count apart, and refuse nobody.
        burst: what a token bucket holds; None: the rate's limit.
        headers: whether clients are told what remains.
        upstash_prefix: share the counters with a Ratelimit of @upstash/ratelimit that has this
            prefix.
        limit: the most that can be taken at once.
        counter: what it counts under.
        aligned: whether its keys' names depend on the time.
        asks_user: whether it has to be known who is logged in.
        calls: whether a function of the request has a say.
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
    # Worked out once: each check asks for them.
    limit: int = field(init=False, repr=False, compare=False)
    counter: str = field(init=False, repr=False, compare=False)
    aligned: bool = field(init=False, repr=False, compare=False)
    asks_user: bool = field(init=False, repr=False, compare=False)
    calls: bool = field(init=False, repr=False, compare=False)
    _width: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        short = self.rate.window < _SHORT
        buckets = _BUCKETS_OF_SHORT_WINDOWS if short else _BUCKETS
        for name, value in (
            ("limit", self.rate.limit if self.burst is None else self.burst),
            ("counter", self.group or self.name),
            ("aligned", self.algorithm in _ALIGNED),
            ("asks_user", STAFF in self.exempt or not _USERS.isdisjoint(self.kinds)),
            ("calls", any(map(callable, (self.key, self.cost, *self.exempt)))),
            ("_width", max(1, self.rate.window // buckets)),
        ):
            object.__setattr__(self, name, value)
        problem = next(_problems(self), None)
        if problem is not None:
            raise ConfigurationError(f"Policy '{self.name}': {problem}")

    @property
    def kinds(self) -> Sequence[str]:
        """The parts of its key, unless that is a function."""
        return () if callable(self.key) else str(self.key).split("+")

    def unit(self, now: int) -> int:
        """Return what else its algorithm needs to know; see algorithms.py."""
        if self.algorithm == "strict":
            return self._width
        if self.algorithm == "token_bucket":
            return self.rate.limit
        return now - now % self.rate.window

    def storage(self, prefix: str, identity: str) -> str:
        """Return what the names of its keys begin with."""
        shadow = "shadow:" if self.shadow else ""
        if self.upstash_prefix is not None:
            return f"{shadow}{self.upstash_prefix}:{identity}"
        return f"{prefix}{shadow}ratelimit:{self.counter}:{identity}"

    def keys(self, storage: str, now: int) -> tuple[str, ...]:
        """Return its keys: ``ratelimit:{group}:{id}:{window}``, and those of other algorithms."""
        window = self.rate.window
        if self.algorithm == "strict":
            return (f"{storage}:{window}ms",)
        number = now // window
        if self.algorithm == "fixed":
            return (f"{storage}:{number}",)
        if self.algorithm == "sliding":
            return (f"{storage}:{number}", f"{storage}:{number - 1}")
        return (storage,)


def clashes(policies: Sequence[Policy]) -> Iterator[tuple[Policy, Policy]]:
    """Yield the pairs that would take from one counter, where they are charged together."""
    for one, other in combinations(policies, 2):
        if one != other and one.storage("", "") == other.storage("", ""):
            yield one, other


def clash(one: Policy, other: Policy) -> str:
    """Return what is wrong with two such policies."""
    return (
        f"The policies '{one.name}' and '{other.name}' share a counter, so that a request cannot "
        "be charged by both: give them groups of their own (with upstash_prefix: prefixes)."
    )


OPTIONS: Final = frozenset(each.name for each in fields(Policy) if each.init) - {"name"}


def make(name: str, options: Mapping[str, Any]) -> Policy:
    """Return a policy as settings describe it.

    Raises:
        ConfigurationError: an option is unknown, missing or wrong.
    """
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"Policy '{name}' is a dict with a rate, not {options!r}.")
    for option in options:
        if option not in OPTIONS:
            hint = suggest_similar(str(option), OPTIONS)
            raise ConfigurationError(f"Policy '{name}': unknown option '{option}'.{hint}")
        kinds = _TYPES.get(option)
        if kinds and not isinstance(options[option], kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise ConfigurationError(
                f"Policy '{name}': {option} is a {wanted}, not {options[option]!r}."
            )
    if "rate" not in options:
        raise ConfigurationError(f"Policy '{name}' has no rate, such as \"100/m\".")
    values = dict(options)
    try:
        values["rate"] = rates.parse(values["rate"])
        values["exempt"] = tuple(map(_exempt, _listed(values.get("exempt", ()))))
        if values.get("methods") is not None:
            values["methods"] = _methods(values["methods"])
    except ConfigurationError as error:
        raise ConfigurationError(f"Policy '{name}': {error}") from None
    return Policy(name=name, **values)


def _methods(methods: Any) -> frozenset[str]:
    names = frozenset(str(method).upper() for method in _listed(methods))
    unknown = ", ".join(sorted(names - _METHODS))
    if unknown or not names:
        raise ConfigurationError(
            f"methods names some of {', '.join(sorted(_METHODS))}, or is None for all; not "
            f"{unknown or 'none of them'}."
        )
    return names | {"HEAD"} if "GET" in names else names


def _exempt(who: Any) -> Any:
    if callable(who) or who == STAFF:
        return who
    try:
        return network(who)
    except ConfigurationError as error:
        raise ConfigurationError(f"exempt: {error} Or write 'staff'.") from None


def _listed(given: Any) -> Iterable[Any]:
    alone = isinstance(given, str) or not isinstance(given, Iterable)
    return [given] if alone else given


def _problems(policy: Policy) -> Iterator[str]:
    if not _NAME.fullmatch(policy.name):
        yield "its name must be 1 to 32 of the characters a-z, 0-9, _ and -."
    if policy.group and not _GROUP.fullmatch(policy.group):
        yield "its group must be up to 200 characters without white space and braces."
    if policy.algorithm not in get_args(Algorithm):
        yield f"algorithm is one of {', '.join(get_args(Algorithm))}."
    if policy.on_error not in get_args(OnError):
        yield f"on_error is one of {', '.join(get_args(OnError))}."
    if policy.burst is not None and policy.algorithm != "token_bucket":
        yield "burst is what a token_bucket holds; other algorithms have none."
    if type(policy.limit) is not int or not 1 <= policy.limit <= _MOST:
        yield f"burst is a whole number from 1 to {_MOST}."
    if policy.upstash_prefix is not None and policy.algorithm == "strict":
        yield "@upstash/ratelimit knows no strict limit: share a fixed, sliding or token_bucket."
    if not callable(policy.cost) and not _is_cost(policy.cost, policy.limit):
        yield f"cost is a whole number between 1 and what it allows at once, {policy.limit}."
    yield from filter(None, map(_problem_of_key, policy.kinds))
    if any(map(iscoroutinefunction, (policy.key, policy.cost, *policy.exempt))):
        yield "key, cost and exempt are asked before the view and not awaited: no async functions."


def _is_cost(cost: object, limit: int) -> bool:
    return type(cost) is int and 1 <= cost <= limit


def _problem_of_key(kind: str) -> str | None:
    name, _, argument = kind.partition(":")
    if kind in KINDS or (name in NAMED_KINDS and argument):
        return None
    return (
        "key is ip, user, user_or_ip, header:X-Api-Key, post:username, get:q, several of them "
        f"joined by +, or a function of the request; {kind!r} is none of these."
    )
