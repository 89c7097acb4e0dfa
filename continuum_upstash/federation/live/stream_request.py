"""A request for a stream: its channels, where each begins, and who may read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse

from continuum_upstash.federation.channels.events import EventId, parse_since, validate_name
from continuum_upstash.federation.live import frames
from continuum_upstash.federation.live.conf import conf
from continuum_upstash.federation.live.open_streams import TOTAL
from continuum_upstash.ratelimit.conf import conf as ratelimit_conf

DEFAULT_CHANNEL = "default"


class StreamRequest(NamedTuple):
    """A request that may be answered with a stream.

    Attributes:
        positions: for each channel the position after which it begins; None: now.
        limits: how many streams there may be of each key.
    """

    positions: Mapping[str, EventId | int | None]
    limits: Mapping[str, int]


def parse_positions(request: HttpRequest) -> dict[str, EventId | int | None]:
    """Return the channels of a request, and where each begins.

    `Last-Event-ID` is newer than `last_ack_…`: a browser that reconnects sends the same URL again.

    Raises:
        ValueError: there are too many channels, or one has a name that cannot be used.
    """
    names = list(dict.fromkeys(request.GET.getlist("channel"))) or [DEFAULT_CHANNEL]
    if len(names) > conf.max_channels:
        raise ValueError(f"More than {conf.max_channels} channels.")
    received = frames.decode_id(request.headers.get("Last-Event-ID", ""))
    positions: dict[str, EventId | int | None] = {}
    for name in names:
        validate_name(name, "a channel")
        position = received.get(name)
        since = request.GET.get(f"last_ack_{name}")
        positions[name] = position or (parse_since(since) if since else None)
    return positions


async def authorize(request: HttpRequest, channels: Sequence[str]) -> bool | HttpResponse:
    """Return whether a request may read channels, or the response to send instead."""
    private = [name for name in channels if name not in conf.channels]
    if not private:
        return True
    function = conf.authorize
    if function is None:
        return False
    if iscoroutinefunction(function):
        verdict = await function(request, private)
    else:
        verdict = await sync_to_async(function)(request, private)
    return verdict if isinstance(verdict, HttpResponse) else verdict is True


async def make_limits(request: HttpRequest, channels: Sequence[str]) -> dict[str, int]:
    """Return the limits of open streams that apply to a request.

    The user is only loaded for channels that are not public: it takes a read of the session.
    """
    address = ratelimit_conf.trusted_proxies.get_client_key(request.META)
    limits = {TOTAL: conf.max_streams, f"address:{address}": conf.max_streams_per_address}
    if not conf.channels.issuperset(channels):
        user = await _get_user(request)
        if user is not None and user.is_authenticated:
            limits[f"user:{user.pk}"] = conf.max_streams_per_user
    return limits


async def _get_user(request: HttpRequest) -> Any:
    load = getattr(request, "auser", None)
    return None if load is None else await load()
