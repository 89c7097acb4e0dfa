"""Copied beside Django's tests: records the outcome of each test, including its sub-tests."""

from __future__ import annotations

import json
import os
from pathlib import Path

CONFIG = json.loads(os.environ["DJANGO_SUITE"])
KINDS = ("errors", "failures", "skipped", "expectedFailures", "unexpectedSuccesses")


class Recorded:
    """A mixin for test cases: one line of JSON per test in the run's log."""

    def setUp(self):
        super().setUp()
        if self._testMethodName in CONFIG["skip"]:
            self.skipTest("left out with --skip")

    def run(self, result=None):
        before = {kind: len(getattr(result, kind, ())) for kind in KINDS}
        super().run(result)
        new = {kind: len(getattr(result, kind, ())) - before[kind] for kind in KINDS}
        if new["failures"] or new["unexpectedSuccesses"]:
            outcome = "failed"
        elif new["errors"]:
            outcome = "errors"
        else:
            outcome = "skipped" if new["skipped"] else "passed"
        line = {
            "test": f"{type(self).__name__}.{self._testMethodName}",
            "outcome": outcome,
            "parts": new["failures"] + new["errors"],
        }
        with Path(CONFIG["log"]).open("a") as log:
            log.write(json.dumps(line) + "\n")
        return result
