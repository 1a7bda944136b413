"""A ``.keras`` archive, written without Keras: a functional model of stacks, each with an input of its own."""

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py

from gatewise.interchange.keras.exporting import KerasLayer
from gatewise.interchange.keras.files import ARCHIVED_WEIGHTS, snake_case
from gatewise.writing import atomic_write

_WRITTEN_AS = "3.0.0"  # the first version of the format


def write_archive(path: Path, stacks: Mapping[str, Sequence[KerasLayer]]) -> None:
    """Write stacks of layers, by their paths, as a model that `keras.models.load_model` opens.

    A layer has the name of its stack with underscores instead of dots, which torch does not allow in Keras' names;
    those of a stack of several have their number after it.
    """
    used: set[str] = set()
    nodes: list[dict[str, Any]] = []
    inputs: list[list[Any]] = []
    outputs: list[list[Any]] = []
    content = io.BytesIO()
    with h5py.File(content, "w") as weights:
        counts = Counter[str]()
        for stack, layers in stacks.items():
            name = _unused(re.sub(r"[^A-Za-z0-9_]", "_", stack) or "recurrent", used)
            source, width = f"{name}_input", layers[0].weights[0].shape[0]
            dtype = layers[0].config["config"]["dtype"]
            nodes.append(_input(source, width, dtype))
            inputs.append([source, 0, 0])
            for number, layer in enumerate(layers):
                own = name if len(layers) == 1 else f"{name}_l{number}"
                nodes.append(_node(own, layer.config, source, layer.weights[0].shape[0], dtype))
                snake = snake_case(layer.config["class_name"])
                _write_weights(weights, f"layers/{snake}" + f"_{counts[snake]}" * bool(counts[snake]), layer)
                counts[snake] += 1
                source = own
            outputs.append([source, 0, 0])
    config = {"name": "gatewise", "trainable": True, "layers": nodes, "input_layers": inputs, "output_layers": outputs}
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": _WRITTEN_AS}))
        archive.writestr(
            "config.json",
            json.dumps(
                {**_serialized("keras.src.models.functional", "Functional", config), "registered_name": "Functional"}
            ),
        )
        archive.writestr(ARCHIVED_WEIGHTS, content.getvalue())


def _input(name: str, width: int, dtype: str) -> dict[str, Any]:
    config = {"batch_shape": [None, None, width], "dtype": dtype, "name": name}
    return {**_serialized("keras.layers", "InputLayer", config), "name": name, "inbound_nodes": []}


def _node(name: str, serialized: dict[str, Any], source: str, width: int, dtype: str) -> dict[str, Any]:
    tensor = {"shape": [None, None, width], "dtype": dtype, "keras_history": [source, 0, 0]}
    call = {"args": [{"class_name": "__keras_tensor__", "config": tensor}], "kwargs": {}}
    config = {**serialized["config"], "name": name}
    return {**serialized, "config": config, "name": name, "inbound_nodes": [call]}


def _serialized(module: str, class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def _write_weights(file: h5py.File, address: str, layer: KerasLayer) -> None:
    both = layer.config["class_name"] == "Bidirectional"
    parts = ("forward_layer/", "backward_layer/") if both else ("",)
    count = len(layer.weights) // len(parts)
    for index, part in enumerate(parts):
        for number, weight in enumerate(layer.weights[index * count :][:count]):
            file[f"{address}/{part}cell/vars/{number}"] = weight


def _unused(name: str, used: set[str]) -> str:
    found = next(one for one in (name, *(f"{name}_{number}" for number in range(2, len(used) + 3))) if one not in used)
    used.add(found)
    return found
