"""The folder of the demo's SQLite file and secrets; git ignores it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

DATA_FOLDER = Path(os.environ.get("DEMO_STATE") or Path(__file__).parent.parent / ".demo")


def load_or_create_secret(name: str, length: int = 50) -> str:
    """Return the secret of this name; the first call creates it at random.

    Args:
        name: name of the file in the folder.
        length: number of characters of a new secret.
    """
    DATA_FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = DATA_FOLDER / name
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(length)[:length])
    return path.read_text()
