"""The base class of immutable settings: a frozen dataclass that does not import `dataclasses`.

That module and its imports would take a tenth of a plain client's start.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self, dataclass_transform


@dataclass_transform(kw_only_default=True, frozen_default=True)
class FrozenSettings:
    """Settings by name: the annotated attributes of a subclass, whose values are the defaults.

    Attributes:
        NAMES: the names of all settings.
        NOT_COMPARED: those that do not distinguish two objects.
        HIDDEN: those that `repr` leaves out.
    """

    NAMES: ClassVar[tuple[str, ...]] = ()
    NOT_COMPARED: ClassVar[frozenset[str]] = frozenset()
    HIDDEN: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        cls.NAMES = tuple(name for name in cls.__annotations__ if not name.isupper())

    def __init__(self, **values: Any) -> None:
        """
        Raises:
            TypeError: there is no setting of this name.
        """
        if unknown := values.keys() - set(self.NAMES):
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        self.__dict__.update(values)
        compared = [getattr(self, name) for name in self.NAMES if name not in self.NOT_COMPARED]
        self.__dict__["_key"] = tuple(compared)

    def replace(self, **values: Any) -> Self:
        """Return a copy with other values."""
        own = {name: getattr(self, name) for name in self.NAMES}
        return type(self)(**own | values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed: use replace()")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__["_key"] == self.__dict__["_key"]

    def __hash__(self) -> int:
        return hash(self.__dict__["_key"])

    def __repr__(self) -> str:
        shown = [
            f"{name}={getattr(self, name)!r}" for name in self.NAMES if name not in self.HIDDEN
        ]
        return f"{type(self).__name__}({', '.join(shown)})"
