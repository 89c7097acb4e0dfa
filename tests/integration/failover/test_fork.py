"""A forked child starts with a breaker, dirty keys and a local store of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def test_a_forked_child_has_a_state_of_its_own(emulator):
    script = f"""
        import os
        from continuum_upstash import UpstashCache

        cache = UpstashCache(rest_url={emulator.rest_url!r}, rest_token={emulator.token!r})
        cache.set("k", "in the database")
        cache._database.failover.breaker.force_open()
        cache.set("k", "in the parent")

        pid = os.fork()
        if not pid:
            status = cache.status
            counts = (status.dirty_keys, status.local_replies)
            assert (status.state, *counts) == ("closed", 0, 0), status
            assert cache.get("k") == "in the database"
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert (cache.status.state, cache.status.dirty_keys) == ("forced_open", 1)
        assert cache.get("k") == "in the parent"
        cache.close()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)
