"""Which function runs the jobs of a queue: ``CONTINUUM_FEDERATION["HANDLERS"]``, or an argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from django.conf import settings
from django.utils.module_loading import import_string

from continuum_upstash.errors import suggest_similar
from continuum_upstash.federation.errors import ImproperlyConfiguredFederation
from continuum_upstash.federation.queue.job import Job

Handler: TypeAlias = Callable[[Job], Any]  # a function or a coroutine function

SETTING: Final = "CONTINUUM_FEDERATION"
_ANY_QUEUE: Final = "*"
_ENTRIES: Final = ("ALIAS", "HANDLERS")


def read_alias() -> str:
    """Return the alias of the queues that the setting names.

    Raises:
        ImproperlyConfiguredFederation: the setting is invalid.
    """
    return str(_read_setting().get("ALIAS", "federation"))


def read_handlers() -> Mapping[str, str]:
    """Return the dotted paths of the handlers by queue; "*" is any other queue.

    Raises:
        ImproperlyConfiguredFederation: the setting is invalid.
    """
    handlers = _read_setting().get("HANDLERS", {})
    if not isinstance(handlers, dict) or not all(
        isinstance(part, str) for item in handlers.items() for part in item
    ):
        raise ImproperlyConfiguredFederation(
            f'{SETTING}["HANDLERS"] must be a dict of dotted paths by queue, for example '
            '{"mail": "shop.mail.send"}.'
        )
    return handlers


def _read_setting() -> dict[str, Any]:
    setting = getattr(settings, SETTING, {})
    if not isinstance(setting, dict):
        raise ImproperlyConfiguredFederation(f"{SETTING} must be a dict, not {setting!r}.")
    for unknown in setting.keys() - set(_ENTRIES):
        hint = suggest_similar(str(unknown), _ENTRIES)
        raise ImproperlyConfiguredFederation(f"{SETTING} has no entry {unknown!r}.{hint}")
    return setting


def find_handlers(queues: Sequence[str], path: str | None = None) -> dict[str, Handler]:
    """Return the handler of each queue.

    Args:
        queues: names.
        path: the dotted path of one handler for all of them; None: by the setting.

    Raises:
        ImproperlyConfiguredFederation: a queue has no handler, or one that cannot be imported.
    """
    handlers = read_handlers() if path is None else {_ANY_QUEUE: path}
    return {queue: _import_handler(queue, _find_path(queue, handlers)) for queue in queues}


def _find_path(queue: str, handlers: Mapping[str, str]) -> str:
    path = handlers.get(queue) or handlers.get(_ANY_QUEUE)
    if path is None:
        raise ImproperlyConfiguredFederation(
            f"Queue '{queue}' has no handler. Pass --handler, or set "
            f'{SETTING} = {{"HANDLERS": {{"{queue}": "dotted.path"}}}}.'
            f"{suggest_similar(queue, handlers)}"
        )
    return path


def _import_handler(queue: str, path: str) -> Handler:
    try:
        handler = import_string(path)
    except ImportError as error:
        raise ImproperlyConfiguredFederation(
            f"The handler of queue '{queue}', {path}, cannot be imported: {error}"
        ) from error
    if not callable(handler):
        raise ImproperlyConfiguredFederation(
            f"The handler of queue '{queue}', {path}, is not a function."
        )
    found: Handler = handler
    return found
