"""Choices by name, each a module that is loaded when it is used."""

import importlib
from collections.abc import Mapping
from types import ModuleType


def registered(option: str, name: str, modules: Mapping[str, str]) -> ModuleType:
    """The module of a name.

    Args:
        option: that has the name, for the message.
        name: what was chosen.
        modules: the modules by name.

    Raises:
        ValueError: when there is none of this name.

    >>> registered("--to", "numbers", {"numbers": "math"}).floor(2.5)
    2
    """
    if name not in modules:
        raise ValueError(f"{option}: expected one of {', '.join(modules)}, got {name!r}")
    return importlib.import_module(modules[name])
