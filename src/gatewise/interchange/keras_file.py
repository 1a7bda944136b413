"""Models of Keras: the weights of their recurrent layers, read and written."""

import zipfile
from pathlib import Path

from torch import Tensor

from gatewise.extras import require
from gatewise.interchange.formats import WeightsFormat
from gatewise.interchange.identity import of_layers
from gatewise.interchange.keras import KerasLayer, from_keras, to_keras
from gatewise.interchange.keras.importing import is_hdf5
from gatewise.interchange.recorded_layers import recorded_layers


def recognises(path: Path) -> bool:
    """Whether a file is HDF5, or an archive with a configuration."""
    if is_hdf5(path):
        return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "config.json" in archive.namelist()


def read(path: Path, key: str | None) -> dict[str, Tensor]:
    """The weights of the recurrent layers, by the name of the layer; those of the layer ``key`` alone without it.

    Raises:
        ValueError, OSError, MissingExtraError: as `from_keras`.
    """
    if key is None:
        return of_layers(from_keras(path))
    return of_layers({"": from_keras(path, names=[key])[key]})


def write(path: Path, state_dict: dict[str, Tensor]) -> list[str]:
    """Write the recurrent layers as a ``.keras`` archive; returns the names of all other weights.

    Raises:
        ValueError: as `recorded_layers` and `to_keras`, naming the layer.
        MissingExtraError: when h5py is not installed.
    """
    require("writing files of Keras", "keras")
    from gatewise.interchange.keras.archive import write_archive

    layers, others = recorded_layers(state_dict)
    stacks: dict[str, list[KerasLayer]] = {}
    for own, layer in layers.items():
        try:
            stacks[own] = to_keras(layer)
        except ValueError as error:
            raise ValueError(f"layer {own or '(without a name)'}: {error}") from None
    write_archive(path, stacks)
    return others


FORMAT = WeightsFormat(recognises, read, write)
