"""An async view that reads a hundred keys, with ?compare in three ways."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from time import perf_counter
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from example_project.emulator import Usage, read_usage

STATIONS = tuple(f"station:{number:02}" for number in range(100))


@dataclass(frozen=True, slots=True)
class Measurement:
    """One way to read all stations.

    Attributes:
        usage: of the emulator, None without one.
    """

    code: str
    elapsed_ms: float
    usage: Usage | None


async def show(request: HttpRequest) -> HttpResponse:
    if not await cache.ahas_key(STATIONS[-1]):
        await _write_weather()
    temperatures, get_many = await _measure("await cache.aget_many(keys)", _read_many)
    measurements = [get_many]
    if "compare" in request.GET:
        code = "await asyncio.gather(*(cache.aget(key) for key in keys))"
        measurements.append((await _measure(code, _read_concurrently))[1])
        code = "for key in keys: await cache.aget(key)"
        measurements.append((await _measure(code, _read_sequentially))[1])
    context = {
        "stations": [_describe_station(key, temperatures.get(key)) for key in STATIONS],
        "measurements": measurements,
    }
    return render(request, "example/dashboard.html", context)


@require_POST
async def measure(request: HttpRequest) -> HttpResponse:
    await _write_weather()
    return redirect("dashboard")


async def _write_weather() -> None:
    random = Random()  # noqa: S311 weather is no secret
    warmest = random.uniform(30, 70)
    weather = {
        key: round(30 * math.exp(-(((number - warmest) / 30) ** 2)) + random.uniform(-4, 4), 1)
        or 0.0
        for number, key in enumerate(STATIONS)
    }
    await cache.aset_many(weather, timeout=3600)


async def _read_many() -> dict[str, float]:
    return await cache.aget_many(STATIONS)


async def _read_concurrently() -> list[Any]:
    return await asyncio.gather(*(cache.aget(key) for key in STATIONS))


async def _read_sequentially() -> list[Any]:
    return [await cache.aget(key) for key in STATIONS]


async def _measure(code: str, read: Callable[[], Awaitable[Any]]) -> tuple[Any, Measurement]:
    before = await asyncio.to_thread(read_usage)
    started = perf_counter()
    result = await read()
    elapsed_ms = (perf_counter() - started) * 1000
    after = await asyncio.to_thread(read_usage) if before else None
    usage = after - before if before and after else None
    return result, Measurement(code, elapsed_ms, usage)


def _describe_station(key: str, celsius: float | None) -> dict[str, Any]:
    """Return the context of a tile; `warmth` is a colour step from 0 to 9."""
    warmth = 0 if celsius is None else min(9, max(0, int((celsius + 4) / 4)))
    return {"name": key.partition(":")[2], "celsius": celsius, "warmth": warmth}
