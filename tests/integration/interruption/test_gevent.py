"""Time-outs of gevent lose no connection and mix up no replies. TEST_LENGTH makes it 10,000."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from random import random
from time import sleep

import pytest

from tests.integration.interruption import gevent_timeouts
from tests.integration.scripted_server import http_response

pytest.importorskip("gevent")

COUNT = 10_000 if "TEST_LENGTH" in os.environ else 1_000


def echo_slowly(peer):
    while (body := peer.read_request()) is not None:
        argument = json.loads(body)[1].encode()
        sleep(random() * gevent_timeouts.LONGEST / 2)
        peer.send(http_response(b"$%d\r\n%b\r\n" % (len(argument), argument)))


@pytest.mark.parametrize("mode", ["rest", "redis"])
def test_timeouts_leave_all_slots_free(serve, valkey, mode):
    url = serve(echo_slowly).url() if mode == "rest" else valkey.url
    program = "tests.integration.interruption.gevent_timeouts"
    command = [sys.executable, "-m", program, mode, url, str(COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    result = json.loads(done.stdout)
    assert result["outcomes"].pop("timeouts") >= COUNT
    assert set(result["outcomes"]) <= {"right"}
    assert (result["free"], result["later calls are right"]) == (gevent_timeouts.POOL_SIZE, True)
