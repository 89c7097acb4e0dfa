"""The unmodified @upstash/redis and @upstash/ratelimit, under node.

Their packages are installed by `npm ci --prefix tests/integration/sdk/npm`.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NPM = Path(__file__).parent / "npm"
node = shutil.which("node")

pytestmark = [
    pytest.mark.skipif(node is None, reason="node is not installed"),
    pytest.mark.skipif(
        not (NPM / "node_modules").exists(),
        reason="the SDKs are not installed: npm ci --prefix tests/integration/sdk/npm",
    ),
]


@pytest.mark.parametrize(
    ("sdk", "encoding"), [("redis", "base64"), ("redis", "none"), ("ratelimit", "base64")]
)
def test_the_javascript_sdk_works_unmodified(emulator, sdk, encoding):
    environment = os.environ | {
        "UPSTASH_REDIS_REST_URL": emulator.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": emulator.token,
        "RESPONSE_ENCODING": encoding,
    }
    run = subprocess.run(
        [node, "--test", "--test-force-exit", f"{sdk}.test.mjs"],
        cwd=NPM,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# fail 0" in run.stdout
    assert "# pass 0" not in run.stdout
