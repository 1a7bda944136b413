"""Choices by name, each a module that is loaded when it is used."""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Registry(Generic[Entry]):
    """What an option chooses from.

    Attributes:
        option: the option, for messages.
        attribute: the name that each entry has in its module.
        modules: the modules by the names of the choices.

    >>> Registry[float]("--to", "pi", {"numbers": "math"})["numbers"]
    3.141592653589793
    """

    option: str
    attribute: str
    modules: Mapping[str, str]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self.modules)

    def __getitem__(self, name: str) -> Entry:
        """The entry of a name.

        Raises:
            ValueError: when there is none.
        """
        if name not in self.modules:
            raise ValueError(f"{self.option}: expected one of {', '.join(self)}, got {name!r}")
        return getattr(importlib.import_module(self.modules[name]), self.attribute)
