import asyncio

from continuum_upstash.emulator.faults.replication_proxy import _DelayedWriter


async def test_writes_that_are_due_together_keep_their_order():
    done, written = asyncio.Event(), []

    def write(data: bytes) -> None:
        written.append(data)
        if data == b"last":
            done.set()

    writer = _DelayedWriter(write)
    sent = [b"%d" % number for number in range(100)] + [b"last"]
    for position, data in enumerate(sent):
        writer.send(data, delay=0.02 if position == 0 else 0.0)
    assert written == []
    await asyncio.wait_for(done.wait(), timeout=5)
    assert written == sent
