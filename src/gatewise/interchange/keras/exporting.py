"""Our layers as Keras' configurations and weights."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import torch

from gatewise.cells import lookup
from gatewise.compiler import with_single_bias, without_bias
from gatewise.equations import Cell
from gatewise.equations.normal_form import normal_form
from gatewise.interchange.keras.configs import Spec
from gatewise.interchange.keras.conventions import ACTIVATIONS, KINDS, MERGES
from gatewise.interchange.keras.weights import weights_from_blocks
from gatewise.interchange.onnx.weights import Blocks, blocks_of
from gatewise.layers import Recurrent
from gatewise.layers.identity import described

_MERGE_MODES = {merge: mode for mode, merge in MERGES.items()}
_NAMES = {activation: name for name, activation in ACTIVATIONS.items()}


@dataclass(frozen=True)
class KerasLayer:
    """A layer for Keras, which is not needed to make it.

    Attributes:
        config: what ``keras.layers.deserialize`` makes the layer of.
        weights: what its ``set_weights`` takes.
    """

    config: dict[str, Any]
    weights: list[np.ndarray]


def to_keras(layer: Recurrent) -> list[KerasLayer]:
    """The layers of Keras that compute what a layer does, as configurations and copies of the weights.

    Keras has one layer for each of `num_layers`. They return all outputs (``return_sequences=True``) and, as always in
    Keras, those of a layer that reads from the end (``go_backwards``) in the order in which they were computed. Where
    Keras has one bias and the layer two, it gets their sum. Dropout, which acts in training alone, is not part of it.

    Args:
        layer: of a cell that Keras has: `RNN`, `LSTM`, `GRU` (any variant), or one that `from_keras` made.

    Raises:
        TypeError: for another module.
        ValueError: for what Keras does not have: other cells, ``merge="learned"``, ``masked_output="repeat"`` in both
            directions.

    >>> import gatewise
    >>> (made,) = gatewise.to_keras(gatewise.GRU(3, 4))
    >>> made.config["class_name"], [weight.shape for weight in made.weights]
    ('GRU', [(3, 12), (4, 12), (2, 12)])
    """
    if not isinstance(layer, Recurrent):
        raise TypeError(f"to_keras: expected a recurrent layer of gatewise, got {type(layer).__name__}")
    if layer.regularisation:
        raise ValueError(f"to_keras: the layer has {layer.regularisation}, which is not written; make one without it")
    if layer.merge == "learned":
        raise ValueError("to_keras: Keras does not merge directions with merge='learned'")
    if layer.bidirectional and layer.masked_output == "repeat":
        raise ValueError("to_keras: Keras' Bidirectional has zeros at masked steps, not masked_output='repeat'")
    if any(parameter.dtype == torch.bfloat16 for parameter in layer.parameters()):
        raise ValueError("to_keras: NumPy's arrays do not have the type of its weights, bfloat16; call layer.float()")
    spec, mirrored = _spec_of(layer.cell)
    spec = replace(
        spec,
        units=layer.hidden_size,
        go_backwards=layer.reverse,
        zero_output_for_mask=layer.masked_output == "zero",
        bidirectional=layer.bidirectional,
        merge=layer.merge,
    )
    directions = 2 if layer.bidirectional else 1
    parts: list[list[np.ndarray]] = []
    for parameters in layer.all_weights:
        blocks = blocks_of(layer.cell, [parameter.detach().cpu() for parameter in parameters])
        parts.append(
            weights_from_blocks(
                spec.kind,
                _mirrored(blocks) if mirrored else blocks,
                use_bias=spec.use_bias,
                two_biases=spec.reset_after,
            )
        )
    found: list[KerasLayer] = []
    for index in range(layer.num_layers):
        weights = [weight for part in parts[index * directions :][:directions] for weight in part]
        # Between layers merge=None concatenates.
        between = index < layer.num_layers - 1 and spec.merge is None
        config = _config(replace(spec, merge="concat") if between else spec, weights[0])
        found.append(KerasLayer(config, weights))
    return found


def _mirrored(blocks: Blocks) -> Blocks:
    """The blocks of gru_chung2014, whose z admits the candidate, for a cell whose z keeps the state."""
    return {block: -value if block.gate == "z" else value for block, value in blocks.items()}


def _config(spec: Spec, kernel: np.ndarray) -> dict[str, Any]:
    class_name = next(name for name, kind in KINDS.items() if kind == spec.kind)
    input_shape = [None, None, kernel.shape[0]]
    config: dict[str, Any] = {
        "units": spec.units,
        "use_bias": spec.use_bias,
        "return_sequences": True,
        "go_backwards": spec.go_backwards,
        "zero_output_for_mask": spec.zero_output_for_mask,
        "dtype": kernel.dtype.name,
        **{
            option: _NAMES[activation]
            for option, activation in zip(spec.kind.activations, spec.activations, strict=True)
        },
    }
    if class_name == "GRU":
        config["reset_after"] = spec.reset_after
    one = _serialized(class_name, config, input_shape)
    if not spec.bidirectional:
        return one
    both = {
        "merge_mode": _MERGE_MODES[spec.merge],
        "dtype": kernel.dtype.name,
        "layer": one,
        "backward_layer": _serialized(class_name, {**config, "go_backwards": True}, input_shape),
    }
    return _serialized("Bidirectional", both, input_shape)


def _serialized(class_name: str, config: dict[str, Any], input_shape: list[int | None]) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "config": config,
        "registered_name": None,
        "build_config": {"input_shape": input_shape},
    }


def _spec_of(cell: Cell) -> tuple[Spec, bool]:
    """The layer of Keras that computes a cell, and whether z is mirrored.

    Raises:
        ValueError: when there is none.
    """
    form = normal_form(cell)
    for mirrored in (lookup("gru_chung2014"), without_bias(lookup("gru_chung2014"))):
        if form == normal_form(mirrored):
            activations = (ACTIVATIONS["sigmoid"], ACTIVATIONS["tanh"])
            return Spec(KINDS["GRU"], 1, activations, use_bias="b" in cell.groups), True
    found = _forms(len(cell.states), "z" in cell.gates).get(form)
    if found is None:
        raise ValueError(f"to_keras: Keras does not have its cell, {described(cell)}")
    return found, False


@cache
def _forms(states: int, is_gru: bool) -> dict[str, Spec]:
    """By the normal form of a cell the specification of Keras' layer: every activation, with one bias, two or none."""
    name = "LSTM" if states == 2 else "GRU" if is_gru else "SimpleRNN"
    found: dict[str, Spec] = {}
    for spec in _specs(name):
        cell = spec.cell()
        for form in (cell, with_single_bias(cell)):
            found.setdefault(normal_form(form), spec)
        bare = replace(spec, use_bias=False)
        for form in (bare.cell(), without_bias(cell)):
            found.setdefault(normal_form(form), bare)
    return found


def _specs(name: str) -> Iterator[Spec]:
    kind = KINDS[name]
    options = tuple(dict.fromkeys(kind.activations))
    for values in product(ACTIVATIONS.values(), repeat=len(options)):
        chosen = dict(zip(options, values, strict=True))
        activations = tuple(chosen[option] for option in kind.activations)
        for reset_after in (True, False) if name == "GRU" else (False,):
            yield Spec(kind, 1, activations, reset_after=reset_after)
