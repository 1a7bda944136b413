"""Models of Keras, of which the weights of the recurrent layers are read."""

import zipfile
from pathlib import Path

from torch import Tensor

from gatewise.interchange.formats import WeightsReader
from gatewise.interchange.identity import of_layers
from gatewise.interchange.keras import from_keras
from gatewise.interchange.keras.importing import is_hdf5


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


FORMAT = WeightsReader(recognises, read)
