"""A file that says how far a copy is, to continue it after it was killed."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.migration.copying.entries import CopyProgress

_SCHEMA = 1


class Checkpoint(NamedTuple):
    """
    Attributes:
        path: the file.
        job: what identifies the copy: its aliases, servers and options.
    """

    path: Path
    job: dict[str, Any]

    def load(self, run_id: str) -> tuple[CopyProgress, str]:
        """Return the progress, and why it is from the beginning; "" if it is not, or is new.

        Args:
            run_id: of the source's server; after a restart, its cursors are invalid.

        Raises:
            ConfigurationError: the file cannot be read, or belongs to another copy.
        """
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return CopyProgress(), ""
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"The checkpoint {self.path} cannot be read: {type(error).__name__}. Delete it to "
                "start from the beginning."
            ) from error
        try:
            is_same = (values["schema"], values["job"]) == (_SCHEMA, self.job)
            progress = CopyProgress.from_dict(values["progress"])
            is_same_server = values["run_id"] == run_id
        except (KeyError, TypeError):
            is_same, is_same_server, progress = False, False, CopyProgress()
        if not is_same:
            raise ConfigurationError(
                f"The checkpoint {self.path} belongs to another copy: aliases, pattern or options "
                "differ. Use another file, or delete it to start from the beginning."
            )
        if progress.complete:
            return CopyProgress(), f"the copy of {self.path} was complete"
        if not is_same_server:
            return CopyProgress(), "the source's server was restarted, so its cursor is invalid"
        return progress, ""

    def save(self, run_id: str, progress: CopyProgress) -> None:
        """Replace the file in one step, so that it is complete whenever the process is killed.

        Raises:
            OSError: it cannot be written.
        """
        values = {
            "schema": _SCHEMA,
            "job": self.job,
            "run_id": run_id,
            "progress": progress.as_dict(),
        }
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(values, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
