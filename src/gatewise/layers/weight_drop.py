"""Weights with some dropped (DropConnect), at a fraction of the cost of torch's dropout.

`torch.nn.functional.dropout` on a CPU draws a number of its own for every element, which takes longer than a recurrent
layer does with one row. Here 64 random bits serve four weights.
"""

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.layers.fast_path import nothing_recorded

_LEVELS = 1 << 16


def dropped(weight: Tensor, p: float) -> Tensor:
    """A weight of which each element is 0 with probability p, else divided by 1 − p; p is rounded to 16 bits."""
    count = round(p * _LEVELS)
    if weight.device.type != "cpu" or not nothing_recorded() or count == _LEVELS:
        return functional.dropout(weight, p)
    words = torch.empty(-(-weight.numel() // 4), dtype=torch.int64, device="cpu").random_(-(2**63), None)
    numbers = words.view(torch.int16)[: weight.numel()]
    kept = (numbers >= count - _LEVELS // 2).view(weight.shape)
    return torch.ops.aten.native_dropout_backward(weight, kept, _LEVELS / (_LEVELS - count))  # weight · kept · scale
