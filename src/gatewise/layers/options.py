"""The types of options shared by all recurrent layers, and the check of a choice."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import torch

from gatewise.kernels import BackendName as BackendName
from gatewise.layers.initialisers import Scheme as Scheme
from gatewise.layers.keywords import did_you_mean
from gatewise.layers.merging import Merge as Merge
from gatewise.layers.regularisation import MaskRates as MaskRates
from gatewise.layers.regularisation import RegularisationOptions as RegularisationOptions
from gatewise.layers.regularisation import Zoneout as Zoneout

Bias: TypeAlias = bool | Literal["single"]
MaskedOutput: TypeAlias = Literal["zero", "repeat"]
Device: TypeAlias = torch.device | str | int | None
CheckpointEvery: TypeAlias = int | Literal["auto"] | None


def is_on(argument: str, value: bool) -> bool:
    """The value of an option that is on or off.

    Raises:
        TypeError: for anything but True and False.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{argument}: expected True or False, got {value!r}")
    return value


def chosen(cells: Mapping[str, str], argument: str, value: str) -> str:
    """The cell of a choice.

    Raises:
        ValueError: for an unknown choice.
    """
    if value not in cells:
        near = did_you_mean(value, cells)
        raise ValueError(f"{argument}: expected one of {', '.join(cells)}, got {value!r}{near}")
    return cells[value]
