"""Parameters in the layout that the engine reads: recurrent blocks packed for the tile."""

import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.compiler.emit import Direction
from gatewise.kernels.cpu import memory
from gatewise.kernels.cpu.library import engine
from gatewise.kernels.cpu.program import BlocksOf

LIMIT = 64


class _Entry(NamedTuple):
    owners: tuple["weakref.ref[Tensor]", ...]
    stamps: tuple[tuple[int, int], ...]
    packed: tuple[Tensor, ...]


_cache: "OrderedDict[tuple[object, ...], _Entry]" = OrderedDict()


def packed_weights(
    direction: Direction, owners: Sequence[Tensor], blocks: BlocksOf, hidden_size: int, group: int, backward: bool
) -> tuple[Tensor, ...]:
    """The weights of a direction's products, packed; kept between calls only while gradients are off.

    Arguments:
        direction: the emitted work.
        owners: the layer's tensors, which the blocks are parts of.
        blocks: the parameter blocks.
        hidden_size: H.
        group: width of a strip per output.
        backward: whether the products are with the transposed blocks.
    """
    if torch.is_grad_enabled() or any(owner.is_inference() for owner in owners):
        return _pack(direction, blocks, hidden_size, group, backward)
    key = (id(direction), group, backward, *(id(owner) for owner in owners))
    stamps = tuple((owner.data_ptr(), owner._version) for owner in owners)
    entry = _cache.get(key)
    # Identity is asked of the owner itself: an id or an address can be given to a new tensor once the old one is gone.
    if (
        entry is not None
        and entry.stamps == stamps
        and all(reference() is owner for reference, owner in zip(entry.owners, owners, strict=True))
    ):
        _cache.move_to_end(key)
        return entry.packed
    packed = _pack(direction, blocks, hidden_size, group, backward)
    _cache[key] = _Entry(tuple(weakref.ref(owner) for owner in owners), stamps, packed)
    while len(_cache) > LIMIT:
        _cache.popitem(last=False)
    return packed


def forget() -> None:
    """Pack again at the next call: after weights were written in a way that their version does not show."""
    _cache.clear()


def _pack(direction: Direction, blocks: BlocksOf, hidden_size: int, group: int, backward: bool) -> tuple[Tensor, ...]:
    strips = -(-hidden_size // group)
    dtype = blocks.dtype
    packed: list[Tensor] = []
    for stage in direction.stages:
        for product in stage.products:
            target = memory.empty((strips * hidden_size * len(product.blocks) * group,), dtype)
            engine(dtype).pack(
                dtype,
                [blocks.address(block) for block in product.blocks],
                hidden_size,
                group,
                backward,
                target.data_ptr(),
            )
            packed.append(target)
    return tuple(packed)
