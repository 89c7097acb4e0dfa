import asyncio

from continuum_upstash.emulator.tcp_proxy import _Channel


async def test_writes_that_are_due_together_leave_in_their_order():
    done, written = asyncio.Event(), []

    def write(data: bytes) -> None:
        written.append(data)
        if data == b"last":
            done.set()

    channel = _Channel(write)
    sent = [b"%d" % number for number in range(100)] + [b"last"]
    for place, data in enumerate(sent):
        channel.send(data, delay=0.02 if place == 0 else 0.0)
    assert written == []
    await asyncio.wait_for(done.wait(), timeout=5)
    assert written == sent
