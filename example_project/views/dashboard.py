"""An async view that reads a hundred keys, in three ways if asked to compare."""

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

from example_project.emulator import Bill, read_bill

STATIONS = tuple(f"station:{number:02}" for number in range(100))


@dataclass(frozen=True, slots=True)
class Way:
    """One way to read all stations; `took` in milliseconds."""

    code: str
    took: float
    bill: Bill | None


async def page(request: HttpRequest) -> HttpResponse:
    if not await cache.ahas_key(STATIONS[-1]):
        await _measure_weather()
    found, together = await _timed("await cache.aget_many(keys)", _all)
    ways = [together]
    if "compare" in request.GET:
        code = "await asyncio.gather(*(cache.aget(key) for key in keys))"
        ways.append((await _timed(code, _each_at_once))[1])
        ways.append((await _timed("for key in keys: await cache.aget(key)", _one_by_one))[1])
    context = {"stations": [_station(key, found.get(key)) for key in STATIONS], "ways": ways}
    return render(request, "example/dashboard.html", context)


@require_POST
async def measure(request: HttpRequest) -> HttpResponse:
    await _measure_weather()
    return redirect("dashboard")


async def _measure_weather() -> None:
    random = Random()  # noqa: S311 weather is no secret
    warmest = random.uniform(30, 70)
    weather = {
        key: round(30 * math.exp(-(((number - warmest) / 30) ** 2)) + random.uniform(-4, 4), 1)
        or 0.0
        for number, key in enumerate(STATIONS)
    }
    await cache.aset_many(weather, timeout=3600)


async def _all() -> dict[str, float]:
    return await cache.aget_many(STATIONS)


async def _each_at_once() -> list[Any]:
    return await asyncio.gather(*(cache.aget(key) for key in STATIONS))


async def _one_by_one() -> list[Any]:
    return [await cache.aget(key) for key in STATIONS]


async def _timed(code: str, read: Callable[[], Awaitable[Any]]) -> tuple[Any, Way]:
    before = await asyncio.to_thread(read_bill)
    started = perf_counter()
    result = await read()
    took = (perf_counter() - started) * 1000
    after = await asyncio.to_thread(read_bill) if before else None
    return result, Way(code, took, after - before if before and after else None)


def _station(key: str, celsius: float | None) -> dict[str, Any]:
    """Return what a tile shows; `warmth` is a step from 0 to 9."""
    warmth = 0 if celsius is None else min(9, max(0, int((celsius + 4) / 4)))
    return {"name": key.partition(":")[2], "celsius": celsius, "warmth": warmth}
