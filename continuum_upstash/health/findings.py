"""The results of examinations; each problem comes with a fix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Outcome: TypeAlias = Literal["ok", "info", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one examination.

    Attributes:
        name: what was examined.
        outcome: ``ok``, ``info`` (neither right nor wrong), ``warning`` or ``failed``.
        detail: the result, without secrets.
        fix: what to do; may be empty.
    """

    name: str
    outcome: Outcome
    detail: str
    fix: str = ""
