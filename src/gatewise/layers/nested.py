"""Jagged `torch.nested` tensors as input and output: padded before a layer runs, taken apart afterwards."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

_EXPECTED = "expected a jagged tensor (B, j, {}) whose second dimension is ragged"


class Rows(NamedTuple):
    """The rows of a jagged tensor (B, j, …).

    Attributes:
        values: (N, …), all rows one after the other.
        lengths: (B,) int64.
        offsets: (B + 1,) the first of `values` of each row; the input's own where it has no gaps.
    """

    values: Tensor
    lengths: Tensor
    offsets: Tensor


def is_jagged(value: Any) -> bool:
    """Whether a value is a nested tensor with the jagged layout."""
    return isinstance(value, Tensor) and value.is_nested and value.layout is torch.jagged


def rows_of(name: str, nested: Tensor, width: str | None) -> Rows:
    """The rows of a jagged tensor.

    Args:
        name: name of the argument, for messages.
        nested: (B, j, I), or (B, j) if ``width`` is None.
        width: the letter of the last dimension.

    Raises:
        ValueError: for another rank, another ragged dimension, or no step in any row.
    """
    dimensions = 2 if width is None else 3
    if nested.dim() != dimensions or isinstance(nested.shape[1], int):
        expected = _EXPECTED.format(width) if width else _EXPECTED.replace(", {}", "")
        raise ValueError(f"{name}: {expected}, got {nested.dim()} dimensions ({_shape(nested)})")
    parts: Any = nested  # the methods of jagged tensors have no types
    values, offsets, lengths = parts.values(), parts.offsets(), parts.lengths()
    if lengths is not None:  # there are gaps between the rows, as after torch.nested.narrow
        first = torch.repeat_interleave(offsets[: lengths.shape[0]] - (lengths.cumsum(0) - lengths), lengths)
        values = values.index_select(0, first + torch.arange(first.shape[0], device=first.device))
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    if values.shape[0] == 0:
        raise ValueError(f"{name}: expected at least one step, got rows of length 0 alone")
    return Rows(values, offsets.diff(), offsets)


def padded(rows: Rows) -> Tensor:
    """The rows as (T, B, …); the padding is arbitrary values."""
    steps = torch.arange(int(rows.lengths.max()), device=rows.lengths.device)[:, None]
    index = torch.where(steps < rows.lengths, rows.offsets[:-1] + steps, 0)
    return rows.values.index_select(0, index.flatten()).unflatten(0, index.shape)


def padded_flags(name: str, flags: Any, like: Rows) -> Tensor | None:
    """Flags (B, j) of each step as (T, B), for an input with these rows.

    Raises:
        TypeError, ValueError: for flags that are not jagged, or of other lengths.
    """
    if flags is None:
        return None
    if not is_jagged(flags):
        raise TypeError(f"{name}: expected a jagged tensor (B, j) as the input is, got {type(flags).__name__}")
    rows = rows_of(name, flags, None)
    if not torch.equal(rows.lengths, like.lengths):
        raise ValueError(f"{name}: expected rows of the lengths of the input's, got others")
    return padded(rows)


def nested_like(output: Tensor, rows: Rows) -> Tensor:
    """An output (T, B, …) as a jagged tensor with the rows of the input."""
    columns = torch.repeat_interleave(torch.arange(output.shape[1], device=output.device), rows.lengths)
    steps = torch.arange(columns.shape[0], device=output.device) - rows.offsets[columns]
    values = output.flatten(0, 1).index_select(0, steps * output.shape[1] + columns)
    return torch.nested.nested_tensor_from_jagged(values, rows.offsets)


def _shape(nested: Tensor) -> str:
    return ", ".join(str(size) if isinstance(size, int) else "j" for size in nested.shape)
