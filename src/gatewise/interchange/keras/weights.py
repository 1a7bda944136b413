"""Lists of weights in Keras' order: kernel, recurrent_kernel and bias, of a bidirectional layer those of both."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gatewise.compiler import with_single_bias
from gatewise.equations import Parameter
from gatewise.interchange.keras.configs import Spec
from gatewise.interchange.keras.conventions import Kind
from gatewise.interchange.onnx.directions import layer_of
from gatewise.interchange.onnx.weights import Blocks, load_blocks, weight_tensor
from gatewise.layers import Recurrent

_NAMES = ("kernel", "recurrent_kernel", "bias")


def layer_from_weights(spec: Spec, weights: Sequence[np.ndarray]) -> Recurrent:
    """The layer of a specification with these weights.

    Raises:
        ValueError: naming the weight, for a wrong number, shape or type.
    """
    names = _NAMES[: 3 if spec.use_bias else 2]
    directions = 2 if spec.bidirectional else 1
    if len(weights) != directions * len(names):
        of = " of both directions" * spec.bidirectional
        raise ValueError(
            f"weights: expected {directions * len(names)} arrays ({', '.join(names)}{of}), got {len(weights)}"
        )
    parts = [weights[index * len(names) :][: len(names)] for index in range(directions)]
    tensors = [{name: weight_tensor(name, array) for name, array in zip(names, part, strict=True)} for part in parts]
    kernel = tensors[0]["kernel"]
    for part in tensors:
        _check(spec, part, kernel)
    cell = spec.cell()
    bias = spec.use_bias
    if bias and not spec.reset_after and with_single_bias(cell) != cell:
        bias = "single"
    options = {"bidirectional": True, "merge": spec.merge} if spec.bidirectional else {"reverse": spec.go_backwards}
    layer = layer_of(
        cell,
        kernel.shape[0],
        spec.units,
        kernel.dtype,
        bias=bias,
        batch_first=True,
        masked_output="zero" if spec.zero_output_for_mask else "repeat",
        **options,
    )
    load_blocks(layer, [_blocks(spec.kind, part) for part in tensors])
    return layer


def _check(spec: Spec, tensors: dict[str, Tensor], kernel: Tensor) -> None:
    width = len(spec.kind.gates) * spec.units
    inputs = kernel.shape[0] if kernel.dim() == 2 else 0
    shapes = {
        "kernel": (inputs, width),
        "recurrent_kernel": (spec.units, width),
        "bias": (2, width) if spec.reset_after else (width,),
    }
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != shapes[name] or inputs == 0:
            expected = str(shapes[name]) if name != "kernel" or inputs else f"(input_size, {width})"
            raise ValueError(f"{name}: expected shape {expected} for {spec.units} units, got {tuple(tensor.shape)}")
        if tensor.dtype != kernel.dtype:
            raise ValueError(f"{name}: expected the type of kernel, {kernel.dtype}, got {tensor.dtype}")


def _blocks(kind: Kind, tensors: dict[str, Tensor]) -> Blocks:
    stacked = {"W": tensors["kernel"].T, "R": tensors["recurrent_kernel"].T}
    if "bias" in tensors:
        biases = tensors["bias"]
        stacked |= {"b": biases} if biases.dim() == 1 else {"b": biases[0], "d": biases[1]}
    return {
        Parameter(group, gate): part
        for group, tensor in stacked.items()
        for gate, part in zip(kind.gates, tensor.chunk(len(kind.gates)), strict=True)
    }


def weights_from_blocks(kind: Kind, blocks: Blocks, *, use_bias: bool, two_biases: bool) -> list[np.ndarray]:
    """Copies of one direction's weights, in Keras' order; where Keras has one bias and we have two, their sum."""
    found = [torch.cat([blocks[Parameter(group, gate)].T for gate in kind.gates], dim=1) for group in "WR"]
    if use_bias:
        biases = [_bias(blocks, gate) for gate in kind.gates]
        first, second = (torch.cat(part) for part in zip(*biases, strict=True))
        found.append(torch.stack([first, second]) if two_biases else first + second)
    return [tensor.numpy() for tensor in found]


def _bias(blocks: Blocks, gate: str | None) -> tuple[Tensor, Tensor]:
    first, second = (blocks.get(Parameter(group, gate)) for group in "bd")
    assert first is not None
    # -0 is the neutral element of addition: 0 would turn the sum of -0 into 0.
    return first, torch.full_like(first, -0.0) if second is None else second
