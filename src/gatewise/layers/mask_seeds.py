"""Seeds of masks: drawn from torch's generator for every call, or held over the windows of a stream."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

Seeds = MutableMapping[nn.Module, Tensor]
_RANKS_APART = 7046029254386353131  # an odd number


class _Held(NamedTuple):
    seeds: Seeds
    step: int


_held: ContextVar[_Held | None] = ContextVar("held", default=None)
_holding = 0  # number of open blocks: torch.compile guards a global number, and cannot read a context variable


def no_seeds() -> Seeds:
    """Seeds of layers, none of which is drawn yet."""
    return WeakKeyDictionary()


@contextmanager
def held(seeds: Seeds, step: int) -> Iterator[None]:
    """Within the block, each layer draws its seed once for all calls with these seeds.

    Args:
        seeds: by layer; filled.
        step: of the stream, with which the calls begin.
    """
    global _holding
    token = _held.set(_Held(seeds, step))
    _holding += 1
    try:
        yield
    finally:
        _holding -= 1
        _held.reset(token)


def seed_and_step(layer: nn.Module) -> tuple[Tensor, int]:
    """The seed of a call of a layer, and the step of the stream with which it begins.

    Raises:
        ValueError: inside torch.compile where seeds are held.
    """
    if torch.compiler.is_compiling():
        if _holding:
            raise ValueError(
                "masks that last over the windows of TBPTT are not supported inside torch.compile; run the windows "
                "through the model itself, or do without recurrent_dropout, variational and zoneout"
            )
        return drawn(), 0
    context = _held.get()
    if context is None:
        return drawn(), 0
    if layer not in context.seeds:
        context.seeds[layer] = drawn()
    return context.seeds[layer], context.step


def drawn() -> Tensor:
    """A seed () int64 from torch's generator, another one on every rank."""
    seed = torch.randint(2**63 - 1, (), dtype=torch.int64, device="cpu")
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        seed = seed + torch.distributed.get_rank() * _RANKS_APART
    return seed
