"""The emulator as a process: it says where it is, and ends when it is told to."""

import asyncio
import os
import signal
import threading
from contextlib import suppress

from continuum_upstash.emulator.faults.model import Faults
from continuum_upstash.emulator.options import Options
from continuum_upstash.emulator.server import emulator


async def serve(options: Options, faults: Faults, *, until_stdin_closes: bool) -> None:
    """Run the emulator until it is told to stop."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not by the loop's add_signal_handler, which Windows lacks.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopped.set))
    if until_stdin_closes:
        watch = threading.Thread(target=_watch_stdin, args=(loop, stopped), daemon=True)
        watch.start()
    async with emulator(options, faults) as addresses:
        print(addresses.line(), flush=True)  # noqa: T201 - the contract with whoever started us
        await stopped.wait()


def _watch_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    # Not by sys.stdin: a thread that waits inside it aborts the interpreter's shutdown.
    while os.read(0, 1024):
        pass
    with suppress(RuntimeError):  # the loop has ended for another reason
        loop.call_soon_threadsafe(stopped.set)
