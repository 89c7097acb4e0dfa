"""What the demo keeps between runs, in a folder that git ignores."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

FOLDER = Path(os.environ.get("DEMO_STATE") or Path(__file__).parent.parent / ".demo")


def kept_secret(name: str, length: int = 50) -> str:
    """Return a secret that was made at random when it was first asked for."""
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = FOLDER / name
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(length)[:length])
    return path.read_text()
