"""Validation of a layer's arguments, and their normalised form: time first, with a batch, with a state."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.layers.row_lengths import row_lengths
from gatewise.shapes import check_shape

State = Tensor | tuple[Tensor, ...]


class InputSpec(NamedTuple):
    """The specification of a layer's inputs.

    Attributes:
        states: names of the cell's states.
        input_size: I.
        state_sizes: the width of each state: H, or P.
        state_rows: D·L, directions times layers.
        batch_first: whether batched input is (B, T, I).
        dtype, device: of the parameters.
        autocast_dtype: the dtype that input of another dtype is cast to, or None where it must match.
        state_dtype: of the states: that of the parameters, or float32 where a stream carries them in a layer of
            bfloat16.
    """

    states: tuple[str, ...]
    input_size: int
    state_sizes: tuple[int, ...]
    state_rows: int
    batch_first: bool
    dtype: torch.dtype
    device: torch.device
    autocast_dtype: torch.dtype | None
    state_dtype: torch.dtype


class Inputs(NamedTuple):
    """A layer's validated inputs, normalised.

    Attributes:
        x: (T, B, I).
        initial: per state (D·L, B, H), or P wide.
        lengths: (B,) int64 on the device of x, or None.
        reset: (T, B) bool on the device of x, or None.
        mask: (T, B) bool on the device of x, or None.
        batched: whether the input had a batch dimension.
        output_steps: for observers, where masked steps were moved; see `Call`.
        weights: of all layers, on the fast path, where all tensors are plain CPU tensors for the fused kernels; the
            initial state may then be empty, for zeros. None on the general path.
    """

    x: Tensor
    initial: tuple[Tensor, ...]
    lengths: Tensor | None
    reset: Tensor | None
    batched: bool
    mask: Tensor | None = None
    output_steps: Tensor | None = None
    weights: tuple[Tensor, ...] | None = None


def prepare(
    input: Tensor,
    hx: State | None,
    lengths: Tensor | Sequence[int] | None,
    reset: Tensor | None,
    expected: InputSpec,
    mask: Tensor | None = None,
) -> Inputs:
    """Validate and normalise a layer's arguments.

    Raises:
        TypeError: for an argument that is not a tensor, or of the wrong dtype.
        ValueError: for a wrong rank, width, device, or number of values.
    """
    _check_tensor("input", input, expected)
    batched = input.dim() == 3
    if input.dim() not in (2, 3):
        order = "(B, T, I)" if expected.batch_first else "(T, B, I)"
        raise ValueError(
            f"input: expected {order}, or (T, I) without a batch, got {_shape(input)}; "
            "for single steps of shape (B, I) there is layer.step"
        )
    time_first = not (batched and expected.batch_first)
    letters = ("T", "B") if time_first else ("B", "T")
    check_shape(
        "input",
        input.shape,
        [*((letter, None) for letter in (letters if batched else ("T",))), ("I", expected.input_size)],
        "the last dimension holds the input_size features of a step",
    )
    x = _cast(input, expected)
    x = x if time_first else x.transpose(0, 1)
    x = x if batched else x.unsqueeze(1)
    steps, batch = x.shape[0], x.shape[1]
    if steps == 0:
        raise ValueError("input: expected at least one step, got T=0; remove empty sequences, or use lengths")
    return Inputs(
        x,
        _states(hx, batch, batched, expected, x),
        _lengths(lengths, batch, batched, x.device),
        None if reset is None else _flags("reset", reset, x, batched, time_first),
        batched,
        None if mask is None else _flags("mask", mask, x, batched, time_first),
    )


def _check_tensor(name: str, value: object, expected: InputSpec) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor, got {type(value).__name__}; convert it with torch.as_tensor")
    if value.is_nested:
        raise TypeError(
            f"{name}: expected a padded tensor, got a nested one with layout {value.layout}; an input of layers may be "
            "nested with layout=torch.jagged, others are padded with torch.nested.to_padded_tensor"
        )
    if value.layout is not torch.strided:
        raise TypeError(f"{name}: expected a dense tensor, got layout {value.layout}; convert it with to_dense()")
    wrong_dtype = value.dtype != expected.dtype
    if wrong_dtype and not (expected.autocast_dtype is not None and value.is_floating_point()):
        raise TypeError(
            f"{name}: expected {expected.dtype} as the layer's parameters, got {value.dtype}; "
            f"convert one of them, for example with {name}.to({expected.dtype})"
        )
    if value.device != expected.device:
        raise ValueError(
            f"{name}: expected device {expected.device} as the layer's parameters, got {value.device}; "
            f"move one of them, for example with {name}.to({str(expected.device)!r})"
        )


def _cast(value: Tensor, expected: InputSpec) -> Tensor:
    return value if expected.autocast_dtype is None else value.to(expected.autocast_dtype)


def _states(hx: State | None, batch: int, batched: bool, expected: InputSpec, x: Tensor) -> tuple[Tensor, ...]:
    names, dtype = expected.states, expected.state_dtype
    if hx is None:
        zeros = {width: x.new_zeros((expected.state_rows, batch, width), dtype=dtype) for width in expected.state_sizes}
        return tuple([zeros[width] for width in expected.state_sizes])
    if dtype != expected.dtype:
        expected = expected._replace(dtype=dtype, autocast_dtype=None)
    given: tuple[object, ...]
    if len(names) == 1:
        if isinstance(hx, tuple | list):
            raise TypeError(f"hx: expected a tensor, the state {names[0]}, got a {type(hx).__name__} of {len(hx)}")
        given = (hx,)
    else:
        wanted = f"a tuple of {len(names)} tensors ({', '.join(names)})"
        if not isinstance(hx, tuple | list):
            raise TypeError(f"hx: expected {wanted}, got {type(hx).__name__}")
        if len(hx) != len(names):
            raise ValueError(f"hx: expected {wanted}, got {len(hx)}")
        given = tuple(hx)
    checked: list[Tensor] = []
    for name, state, width in zip(names, given, expected.state_sizes, strict=True):
        label = f"hx ({name})" if len(names) > 1 else "hx"
        _check_tensor(label, state, expected)
        assert isinstance(state, Tensor)
        middle = [("B", batch)] if batched else []
        check_shape(
            label,
            state.shape,
            [("D*L", expected.state_rows), *middle, ("H", width)],
            "a state has a row per layer and direction, also with batch_first, and a batch as the input has",
        )
        state = _cast(state, expected)
        checked.append(state if batched else state.unsqueeze(1))
    return tuple(checked)


def _lengths(lengths: Tensor | Sequence[int] | None, batch: int, batched: bool, device: torch.device) -> Tensor | None:
    if lengths is None:
        return None
    if not batched:
        raise ValueError("lengths: requires a batched input; slice the sequence instead")
    return row_lengths(lengths, batch, device)


# What a true flag says, by argument.
_TRUE = {"reset": "a boundary", "mask": "a valid step"}


def _flags(name: str, flags: object, x: Tensor, batched: bool, time_first: bool) -> Tensor:
    if not isinstance(flags, Tensor):
        raise TypeError(f"{name}: expected a bool tensor, got {type(flags).__name__}; convert it with torch.as_tensor")
    if flags.dtype != torch.bool:
        raise TypeError(
            f"{name}: expected torch.bool, got {flags.dtype}; pass {name}.bool() if nonzero means {_TRUE[name]}"
        )
    sizes: list[tuple[str, int | None]] = [("T", x.shape[0]), ("B", x.shape[1])]
    sizes = sizes if time_first else sizes[::-1]
    check_shape(name, flags.shape, sizes if batched else sizes[:1], "pass one flag per step and row of the input")
    flags = flags.to(x.device)
    return (flags if time_first else flags.transpose(0, 1)) if batched else flags.unsqueeze(1)


def _shape(value: Tensor) -> str:
    return f"({', '.join(str(size) for size in value.shape)})"
