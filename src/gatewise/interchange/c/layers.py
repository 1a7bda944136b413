"""Layers and stacks as models of the C runtime."""

import numpy as np
import torch
from torch import Tensor, nn

from gatewise.interchange.c.description import Array, LayerPart, Model
from gatewise.layers import Recurrent, Stack


def model_of(module: nn.Module) -> Model:
    """The model that a layer, or a stack of layers, is.

    Raises:
        TypeError: for another module.
        ValueError: for a layer that the runtime does not have.
    """
    if not isinstance(module, Recurrent | Stack):
        raise TypeError(
            f"module: expected a layer or a Stack, got {type(module).__name__}; export the layers of a model, and what "
            "is around them in the language of the program"
        )
    layers = [module] if isinstance(module, Recurrent) else list(module)
    if layers[-1].merge is None:
        raise ValueError("module: merge=None returns a pair; pass a layer with merge='concat', which is both in one")
    parts = tuple(part for layer in layers for part in layer_parts(layer))
    repeats = layers[-1].masked_output == "repeat"
    return Model(parts, numbers=layers[0].input_size, masks=True, repeats=repeats)


def layer_parts(layer: Recurrent) -> list[LayerPart]:
    """The parts of a layer, one for each of its ``num_layers``."""
    masks = layer._regularisation
    rates = () if masks is None else masks.masks(training=False).rates
    cell = layer.cell if masks is None else masks.cell(training=False)
    directions = 2 if layer.bidirectional else 1
    weights = [[array(one) for one in of_direction] for of_direction in layer.all_weights]
    parts: list[LayerPart] = []
    width = layer.input_size
    for at in range(layer.num_layers):
        learned = layer.merge == "learned"
        bias: Tensor | None = getattr(layer, f"merge_bias_l{at}") if learned else None
        part = LayerPart(
            cell,
            width,
            layer.hidden_size,
            directions,
            layer.reverse,
            tuple(one for of_direction in weights[at * directions : (at + 1) * directions] for one in of_direction),
            rates,
            layer.merge or "concat",
            array(getattr(layer, f"merge_weight_l{at}")) if learned else None,
            None if bias is None else array(bias),
            projection=layer.proj_size,
            heads=layer.heads,
        )
        parts.append(part)
        width = part.width
    return parts


def array(tensor: Tensor) -> Array:
    """A parameter as an array of its own.

    Raises:
        ValueError: for a dtype that NumPy does not have.
    """
    if tensor.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"module: expected weights of float32 or float64, got {tensor.dtype}; call module.float()")
    return np.array(tensor.detach().cpu().numpy(), copy=True)
