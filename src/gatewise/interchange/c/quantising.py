"""Weights as 8-bit integers, rounded as the engine rounds those that it packs (``csrc/bytes.h``)."""

from dataclasses import replace
from typing import get_args

import numpy as np

from gatewise.interchange.c.description import Array, LayerPart, Model
from gatewise.interchange.c.emission import program_of
from gatewise.kernels import IntegerPrecision


def in_precision(model: Model, precision: IntegerPrecision | None) -> Model:
    """A model whose layers multiply in this precision, as those do that are frozen in it.

    Args:
        model: the model.
        precision: ``"int8"``, or None for that of its numbers.

    Raises:
        ValueError: for another precision, or a model in float64.
    """
    if precision not in (None, *get_args(IntegerPrecision)):
        raise ValueError(f"precision: expected None or 'int8', got {precision!r}")
    if precision is None:
        return model
    if model.number != "float":
        raise ValueError(f"precision: {precision} is of weights of float32, got float64; call module.float()")
    return replace(model, layers=tuple(map(_in_integers, model.layers)), precision=precision)


def quantised(weights: Array) -> tuple[Array, Array]:
    """Integers (rows, columns) from −127 to 127, and the scale of each row (rows,), of float32 weights.

    A row that has a number which is not finite is zeros, and its scale not a number; one so small that no float
    scales it is zeros too.
    """
    largest = np.abs(weights).max(axis=1)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        inverse = np.float32(127) / largest
        scales = np.where(np.isinf(inverse), np.float32(0), largest / np.float32(127))
        integers = np.rint(weights * np.where(np.isinf(inverse), np.float32(0), inverse)[:, None])
    finite = np.isfinite(largest)
    return (
        np.where(finite[:, None], integers, 0).astype(np.int8),
        np.where(finite, scales, np.float32(np.nan)),
    )


def _in_integers(layer: LayerPart) -> LayerPart:
    """A layer with the weights that multiply at every step as integers; the prologue reads floats."""
    groups = layer.cell.groups
    prologue = program_of(layer.cell, "cell").prologue
    kept = {product.block.group for stage in prologue.stages for product in stage.products}
    parameters: list[Array] = []
    scales: list[Array] = []
    for at, one in enumerate(layer.parameters):
        if one.ndim == 2 and groups[at % len(groups)] not in kept:
            one, scale = quantised(one)
            scales.append(scale)
        parameters.append(one)
    return replace(layer, parameters=tuple(parameters), scales=tuple(scales))
