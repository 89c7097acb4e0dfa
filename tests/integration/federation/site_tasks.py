"""The tasks of the tests."""

from __future__ import annotations

import threading
import time
from pathlib import Path

try:
    from django.tasks import task
except ImportError:  # Django 5.2
    from django_tasks import task

calls: list[object] = []
release = threading.Event()


@task
def add(a, b=0):
    calls.append((a, b))
    return a + b


@task
async def add_async(a, b=0):
    calls.append((a, b))
    return a + b


@task
def raise_error(kind="ValueError"):
    calls.append(kind)
    raise {"ValueError": ValueError, "SystemExit": SystemExit}[kind]("wrong")


@task(takes_context=True)
def read_attempt(context):
    if context.attempt < 2:
        raise ValueError("the first attempt")
    return [context.task_result.id, context.attempt]


@task
def return_value(kind):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    return {"object": object(), "large": "x" * 2_000_000, "deep": deep, "bytes": b"\xff"}[kind]


@task
def wait_for_release():
    calls.append("started")
    release.wait(20)
    return "released"


@task
def append_line(path, seconds=0.0):
    """Write a line to a file, wait, and write another one."""
    with Path(path).open("a") as file:
        file.write("started\n")
        file.flush()
        time.sleep(seconds)
        file.write("ended\n")


def not_a_task():
    calls.append("called")
