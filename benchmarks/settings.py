from __future__ import annotations

SECRET_KEY = "only-for-benchmarks"
USE_TZ = True
