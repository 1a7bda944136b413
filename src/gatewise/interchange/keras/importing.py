"""Keras' layers and models as layers."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np

from gatewise.extras import require
from gatewise.interchange.keras.configs import class_and_config, is_recurrent, read_config
from gatewise.interchange.keras.weights import layer_from_weights
from gatewise.layers import Recurrent

if TYPE_CHECKING:
    from gatewise.interchange.keras.files import StoredLayer, Weights

_HDF5 = b"\x89HDF\r\n\x1a\n"


class KerasObject(Protocol):
    """A layer of Keras, as far as it is used."""

    def get_config(self) -> dict[str, Any]:
        """The options of the layer."""
        ...

    def get_weights(self) -> list[np.ndarray]:
        """Its weights."""
        ...


class KerasModel(Protocol):
    """A model of Keras, as far as it is used."""

    @property
    def layers(self) -> Sequence[Any]:
        """Its layers, models among them."""
        ...


@overload
def from_keras(
    source: str | PathLike[str], weights: None = None, *, names: Sequence[str] | None = None
) -> dict[str, Recurrent]: ...
@overload
def from_keras(
    source: Mapping[str, Any], weights: str | PathLike[str], *, names: Sequence[str] | None = None
) -> dict[str, Recurrent]: ...
@overload
def from_keras(source: Mapping[str, Any], weights: Sequence[np.ndarray], *, names: None = None) -> Recurrent: ...
@overload
def from_keras(
    source: KerasModel, weights: None = None, *, names: Sequence[str] | None = None
) -> dict[str, Recurrent]: ...
@overload
def from_keras(source: KerasObject, weights: None = None, *, names: None = None) -> Recurrent: ...
def from_keras(
    source: Any, weights: Any = None, *, names: Sequence[str] | None = None
) -> Recurrent | dict[str, Recurrent]:
    """The layers that compute what Keras' do, with copies of their weights; Keras need not be installed.

    SimpleRNN, LSTM, GRU (both ``reset_after``), RNN of one of their cells, and Bidirectional of these are read. Other
    activations than the default ones make a cell from equations. The layers are ``batch_first``, and always return all
    outputs and the final state. With ``go_backwards`` they have ``reverse=True``, and the outputs are in the order of
    the input, where Keras leaves them in the order in which they were computed. What acts in training alone
    (dropout, regularizers, constraints) is not carried over.

    Args:
        source: a layer or a model of Keras; the configuration of a layer, ``{"class_name": …, "config": …}``, with
            ``weights``; the path of a ``.keras`` or HDF5 file of a whole model; or the configuration of a model, with
            ``weights``.
        weights: for the configuration of a layer the arrays of its ``get_weights()``; for that of a model
            (``json.loads(model.to_json())``) the path of its ``.weights.h5``.
        names: of the layers of a model that are wanted; by default all recurrent ones.

    Returns:
        A layer; for models, by the name of each recurrent layer, that layer. A layer of a model within the model
        is ``model/name``.

    Raises:
        TypeError: for another source.
        ValueError: naming layer and option, for what is malformed or has no counterpart, and for names that are not of
            recurrent layers.
        OSError: when a file cannot be read.
        MissingExtraError: for files, when h5py is not installed.

    >>> import numpy as np, gatewise
    >>> config = {"class_name": "LSTM", "config": {"units": 4}}
    >>> gatewise.from_keras(config, [np.zeros((3, 16), "f"), np.zeros((4, 16), "f"), np.zeros(16, "f")])
    LSTM(lstm, 3, 4, bias='single', batch_first=True, masked_output='repeat', init='torch')
    """
    if isinstance(names, str):
        raise TypeError(f"names: expected a list of names, got {names!r}")
    if isinstance(source, str | PathLike):
        if weights is not None:
            raise TypeError("weights: a path of a model has its own; for a .weights.h5 pass the configuration first")
        return _from_file(Path(source), None, names)
    if isinstance(source, Mapping) and isinstance(weights, str | PathLike):
        return _from_file(Path(weights), source, names)
    if isinstance(own := getattr(source, "layers", None), Sequence) and weights is None:
        layers = dict(_named(own, ""))
        wanted = _wanted({name: type(layer).__name__ for name, layer in layers.items()}, names)
        return {name: _from_object(layers[name]) for name in wanted}
    if names is not None:
        raise TypeError("names: only models have several layers")
    if isinstance(source, Mapping):
        if not isinstance(weights, Sequence):
            raise TypeError(f"weights: expected a list of arrays or a path, got {type(weights).__name__}")
        class_name, config = class_and_config(source, "source")
        return _made(class_name, config, weights, keras_2=False)
    if not all(callable(getattr(source, method, None)) for method in ("get_config", "get_weights")):
        raise TypeError(f"source: expected a layer of Keras, a configuration or a path, got {type(source).__name__}")
    if weights is not None:
        raise TypeError("weights: a layer has its own")
    return _from_object(source)


def _from_object(layer: KerasObject) -> Recurrent:
    kind = type(layer)
    library = sys.modules.get(kind.__module__.partition(".")[0])
    version = str(getattr(library, "__version__", ""))
    return _made(kind.__name__, layer.get_config(), layer.get_weights(), keras_2=version.startswith("2."))


def _named(layers: Sequence[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """The layers of a model by name, with those of models within."""
    for layer in layers:
        name = f"{prefix}{layer.name}"
        yield name, layer
        if isinstance(within := getattr(layer, "layers", None), Sequence):
            yield from _named(within, f"{name}/")


def is_hdf5(path: Path) -> bool:
    """Whether a file has the signature of HDF5."""
    with path.open("rb") as file:
        return file.read(len(_HDF5)) == _HDF5


def _made(class_name: str, config: Mapping[str, Any], weights: Sequence[Any], *, keras_2: bool) -> Recurrent:
    try:
        spec = read_config(class_name, config, keras_2=keras_2)
        return layer_from_weights(spec, [np.asarray(weight) for weight in weights])
    except ValueError as error:
        raise ValueError(f"{class_name} layer {config.get('name', '(without a name)')}: {error}") from None


def _from_file(path: Path, model: Mapping[str, Any] | None, names: Sequence[str] | None) -> dict[str, Recurrent]:
    require("reading files of Keras", "keras")
    from gatewise.interchange.keras.files import CORRUPT, open_weights, read_archive, stored_layers, text_attribute

    version, content = "", path.read_bytes()
    try:
        if not content.startswith(_HDF5):
            own, version, content = read_archive(content)
            model = own if model is None else model
        file, weights = open_weights(content)
        with file:
            version = version or text_attribute(file, "keras_version")
            if model is None:
                if "model_config" not in file.attrs:
                    raise ValueError(
                        "weights without the configuration of their model; pass it first: "
                        "from_keras(json.loads(model.to_json()), path)"
                    )
                model = json.loads(text_attribute(file, "model_config"))
            layers = {layer.name: layer for layer in stored_layers(model)}
            wanted = _wanted({name: layer.class_name for name, layer in layers.items()}, names)
            return {name: _stored(layers[name], weights, version.startswith("2.")) for name in wanted}
    except ValueError as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    except CORRUPT as error:
        raise ValueError(f"{path}: corrupt ({' '.join(str(error).split())})") from None


def _wanted(classes: Mapping[str, str], names: Sequence[str] | None) -> Sequence[str]:
    """The names of the layers that are wanted, of those with these classes."""
    recurrent = [name for name, class_name in classes.items() if is_recurrent(class_name)]
    listed = ", ".join(recurrent) or "none"
    if names is None:
        if not recurrent:
            raise ValueError("no recurrent layers in the model")
        return recurrent
    for name in names:
        if name not in classes:
            raise ValueError(f"no layer {name!r} in the model; the recurrent ones are {listed}")
        if name not in recurrent:
            raise ValueError(f"the layer {name!r} is not recurrent ({classes[name]}); the recurrent ones are {listed}")
    return names


def _stored(layer: "StoredLayer", weights: "Weights", keras_2: bool) -> Recurrent:
    try:
        arrays = weights.of(layer)
    except ValueError as error:
        raise ValueError(f"layer {layer.name}: {error}") from None
    return _made(layer.class_name, layer.config, arrays, keras_2=keras_2)
