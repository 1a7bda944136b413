"""Keras' files, read without Keras: ``.keras`` archives, ``.weights.h5``, and HDF5 files of whole models."""

import io
import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from gatewise.interchange.keras.configs import class_and_config

ARCHIVED_WEIGHTS = "model.weights.h5"
CORRUPT = (
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What h5py and zipfile raise for content, in memory, that is corrupt; besides ValueErrors, which say what is wrong."""

_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")  # the second: early versions of the format
_LARGEST_RATIO = 1032  # of deflate, the only compression that is usual


@dataclass(frozen=True)
class StoredLayer:
    """A layer of a model, by its configuration.

    Attributes:
        name: its name; in a model within the model ``model/name``.
        class_name, config: of the layer.
        address: where a file of weights has it.
    """

    name: str
    class_name: str
    config: Mapping[str, Any]
    address: tuple[str, ...]


class Weights:
    """The weights in an open HDF5 file of either layout."""

    def __init__(self, file: h5py.File, size: int) -> None:
        self._size = size
        # Of a whole model; or weights alone, as Keras 2 writes them. Long lists of names are in several attributes.
        is_named = "layer_names" in file.attrs or "layer_names0" in file.attrs
        self._by_name = _group(file, "model_weights") if "model_weights" in file else file if is_named else None
        self._file = file

    def of(self, layer: StoredLayer) -> list[np.ndarray]:
        """The weights of a recurrent layer, in Keras' order.

        Raises:
            ValueError: when the file does not have them.
        """
        if self._by_name is not None:
            return list(self._named(self._by_name, layer))
        node: h5py.Group = self._file
        for index, part in enumerate(layer.address):
            if index % 2 == 0:
                part = next((name for name in _CONTAINERS if name in node), part)
            node = _group(node, part)
        parts = ("forward_layer", "backward_layer") if layer.class_name == "Bidirectional" else ("",)
        return [weight for part in parts for weight in self._variables(_group(node, part) if part else node)]

    def _named(self, group: h5py.Group, layer: StoredLayer) -> Iterator[np.ndarray]:
        outermost, *within = layer.name.split("/")
        group = _group(group, outermost)
        names = [_text(name) for name in group.attrs.get("weight_names", ())]
        if within:
            # A model within has its weights in one list: by the path of the layer, in Keras 2 by its name alone.
            prefixes = (f"{'/'.join(within)}/", f"{within[-1]}/")
            found = [[name for name in names if name.startswith(prefix)] for prefix in prefixes]
            names = found[0] or found[1]
            if not names:
                raise ValueError(f"{group.name}: no weights of the layer {within[-1]} in it")
        for name in names:
            yield self._array(group, name)

    def _variables(self, group: h5py.Group) -> Iterator[np.ndarray]:
        group = _group(_group(group, "cell"), "vars")
        for index in range(len(group)):
            yield self._array(group, str(index))

    def _array(self, group: h5py.Group, name: str) -> np.ndarray:
        parent, _, last = name.rpartition("/")
        for part in parent.split("/") if parent else ():
            group = _group(group, part)
        dataset = _member(group, last)
        if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
            raise ValueError(f"{group.name}/{last}: expected an array in this file")
        if dataset.nbytes > _LARGEST_RATIO * self._size:
            raise ValueError(f"{dataset.name}: an array of {dataset.nbytes} bytes in a file of {self._size}")
        return np.asarray(dataset[()])


def open_weights(content: bytes) -> tuple[h5py.File, Weights]:
    """An HDF5 file in memory.

    Raises:
        ValueError: when it is corrupt.
    """
    try:
        file = h5py.File(io.BytesIO(content), "r")
    except CORRUPT as error:
        raise ValueError(f"not an HDF5 file, or a corrupt one ({error})") from None
    return file, Weights(file, len(content))


def read_archive(content: bytes) -> tuple[dict[str, Any], str, bytes]:
    """The configuration, the version of Keras and the HDF5 file of a ``.keras`` archive.

    Raises:
        ValueError: when it is malformed.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            missing = {"config.json", ARCHIVED_WEIGHTS} - set(archive.namelist())
            if missing:
                raise ValueError(f"an archive without {' and '.join(sorted(missing))}")
            metadata = json.loads(archive.read("metadata.json")) if "metadata.json" in archive.namelist() else {}
            config = json.loads(archive.read("config.json"))
            version = metadata.get("keras_version", "") if isinstance(metadata, dict) else ""
            return config, str(version), archive.read(ARCHIVED_WEIGHTS)
    except CORRUPT as error:
        raise ValueError(f"a corrupt archive ({error})") from None


def stored_layers(model: object) -> list[StoredLayer]:
    """The layers of a model's configuration, with those of models within.

    Raises:
        ValueError: when it is malformed.
    """
    return list(_layers(class_and_config(model, "config of the model")[1], "", ()))


def _layers(config: Mapping[str, Any], prefix: str, address: tuple[str, ...]) -> Iterator[StoredLayer]:
    layers = config.get("layers")
    if not isinstance(layers, Sequence) or isinstance(layers, str):
        raise ValueError("config of the model: expected layers, as of a Sequential or functional model")
    counts: Counter[str] = Counter()
    for index, serialized in enumerate(layers):
        class_name, of_layer = class_and_config(serialized, f"layers[{index}]")
        name = of_layer.get("name", serialized.get("name"))
        snake = snake_case(class_name)
        # Addressed by class and counter: names differ between instances of a model.
        own = (*address, _CONTAINERS[0], snake + f"_{counts[snake]}" * bool(counts[snake]))
        counts[snake] += 1
        layer = StoredLayer(f"{prefix}{name}", class_name, of_layer, own)
        yield layer
        if "layers" in of_layer:
            yield from _layers(of_layer, f"{layer.name}/", own)


def text_attribute(file: h5py.File, name: str) -> str:
    """An attribute that is a text; empty where there is none."""
    return _text(file.attrs.get(name, ""))


def _text(value: object) -> str:
    """A text, which Keras 2 writes as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def snake_case(name: str) -> str:
    """As Keras does it: SimpleRNN is simple_rnn."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _member(group: h5py.Group, name: str) -> Any:
    link = group.get(name, getlink=True) if name in group else None
    if not isinstance(link, h5py.HardLink):  # others may lead out of the file
        raise ValueError(f"{str(group.name).rstrip('/')}/{name}: missing in the weights")
    return group[name]


def _group(group: h5py.Group, name: str) -> h5py.Group:
    found = _member(group, name)
    if not isinstance(found, h5py.Group):
        raise ValueError(f"{found.name}: expected a group")
    return found
