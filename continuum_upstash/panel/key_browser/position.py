"""Where a search continues: signed in the URL, because a cursor of SCAN means nothing elsewhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from django.core.signing import BadSignature, Signer

_SALT: Final = "continuum_upstash.panel.key_browser"


@dataclass(frozen=True, slots=True)
class Position:
    """How far a search is.

    Attributes:
        cursor: of the next SCAN; "0" at the beginning and at the end.
        looked: keys that the SCANs have examined, about.
        found: keys that matched.
        commands: SCANs so far.
    """

    cursor: str = "0"
    looked: int = 0
    found: int = 0
    commands: int = 0

    def sign(self, search: str) -> str:
        """Return the text for the URL.

        Args:
            search: identifies the alias and the pattern; the text is valid for it only.
        """
        return _make_signer(search).sign_object(asdict(self))

    @staticmethod
    def read(text: str, search: str) -> Position | None:
        """Return the position of a URL; None: it was not made for this search."""
        try:
            fields: Any = _make_signer(search).unsign_object(text)
        except (BadSignature, ValueError):
            return None
        return Position(**fields)


START: Final = Position()


def _make_signer(search: str) -> Signer:
    return Signer(salt=f"{_SALT}:{search}")
