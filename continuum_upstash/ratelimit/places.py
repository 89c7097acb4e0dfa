"""What a decorator gets to see of a view: a function, or a class in one of its disguises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from asgiref.sync import iscoroutinefunction

from continuum_upstash.errors import ConfigurationError


class Place(NamedTuple):
    """Where a view is defined.

    Attributes:
        module: dotted.
        name: of the function or class within it.
        method: of a class; empty: a function.
    """

    module: str
    name: str
    method: str = ""


def place_of(view: Callable[..., Any]) -> Place:
    """Return where a view is defined.

    Raises:
        ConfigurationError: nowhere that would tell it from others.
    """
    owner = _class_of(view)
    if owner is not None:
        return Place(owner.__module__, owner.__qualname__, view.__name__)
    name = getattr(view, "__qualname__", "")
    if not name and not hasattr(view, "func"):
        return Place(type(view).__module__, type(view).__qualname__, "__call__")
    if not name or "<lambda>" in name:
        raise ConfigurationError(
            "@ratelimit is on a lambda or a partial, which has no name that its counters could "
            'have: give it one as in @ratelimit(…, group="search").'
        )
    return Place(view.__module__, name)


def is_async(view: Callable[..., Any]) -> bool:
    """Return whether a view has to be awaited."""
    return iscoroutinefunction(view) or bool(getattr(_class_of(view), "view_is_async", False))


def _class_of(view: Callable[..., Any]) -> type | None:
    """Return the class behind as_view(), or behind method_decorator: bound, in a partial."""
    bound_to = getattr(getattr(view, "func", None), "__self__", None)
    if bound_to is not None:
        return type(bound_to)
    behind: type | None = getattr(view, "view_class", None)
    return behind
