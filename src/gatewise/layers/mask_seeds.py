"""Seeds of masks: drawn from torch's generator for every call, or held over the calls of one sequence."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

_RANKS_APART = 7046029254386353131  # odd numbers
_LAYERS_APART = 3202034522624059733


class Seeds:
    """The seeds of layers, each drawn once, or derived from a number and the order in which layers first ask."""

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._of_layers: WeakKeyDictionary[nn.Module, Tensor] = WeakKeyDictionary()

    def of(self, layer: nn.Module) -> Tensor:
        """The seed of a layer."""
        if layer not in self._of_layers:
            number = len(self._of_layers)
            self._of_layers[layer] = (
                drawn() if self._seed is None else _of_rank(torch.tensor(self._seed) + number * _LAYERS_APART)
            )
        return self._of_layers[layer]


class _Held(NamedTuple):
    seeds: Seeds
    step: int


_held: ContextVar[_Held | None] = ContextVar("held", default=None)
_holding = 0  # number of open blocks: torch.compile guards a global number, and cannot read a context variable


@contextmanager
def held(seeds: Seeds, step: int) -> Iterator[None]:
    """Within the block, each layer draws its seed once for all calls with these seeds, or those of a block around it.

    Args:
        seeds: of the layers.
        step: of the stream, with which the calls begin.
    """
    global _holding
    around = _held.get()
    token = _held.set(_Held(seeds, step) if around is None else _Held(around.seeds, around.step + step))
    _holding += 1
    try:
        yield
    finally:
        _holding -= 1
        _held.reset(token)


def mask_seed(seed: int, step: int = 0) -> AbstractContextManager[None]:
    """Within a ``with`` block the masks of layers follow from a seed, as in a loop of one's own over a long sequence.

    A layer's mask of a sequence is the same in every block with the seed, and the masks of single steps are counted
    from ``step``: chunks of a sequence have those of the whole, a chunk that is run again has the same ones, and a
    resumed run continues with them, if it stores the two numbers. The windows of `TBPTT` inside count from ``step``
    too. Which layer is which follows from the order in which they first run in a block. On every rank masks are others.
    Those of ``weight_drop`` are others in every chunk: they follow from the seed and the step with which it begins;
    inside torch.compile they follow from torch's generator.

    Args:
        seed: another one for each sequence or batch, between 0 and 2⁶³ − 1.
        step: of the sequence, with which the calls in the block begin.

    Raises:
        TypeError, ValueError: for a seed or a step out of its range.

    >>> import torch, gatewise
    >>> layer, x = gatewise.LSTM(3, 4, variational=0.5, zoneout=0.1), torch.randn(6, 2, 3)
    >>> with gatewise.mask_seed(7):
    ...     whole, _ = layer(x)
    >>> state, chunks = None, []
    >>> for step in (0, 2, 4):
    ...     with gatewise.mask_seed(7, step):
    ...         output, state = layer(x[step : step + 2], state)
    ...     chunks.append(output)
    >>> torch.testing.assert_close(torch.cat(chunks), whole)
    """
    for name, value, limit in (("seed", seed, 2**63), ("step", step, 2**32)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name}: expected an int, got {type(value).__name__} ({value!r})")
        if not 0 <= value < limit:
            raise ValueError(f"{name}: expected at least 0 and below {limit}, got {value}")
    return held(Seeds(seed), step)


def seed_and_step(layer: nn.Module, *, lasting: bool) -> tuple[Tensor, int]:
    """The seed of a call of a layer, and the step of the stream with which it begins.

    Args:
        layer: the layer.
        lasting: whether it has masks that last over several calls.

    Raises:
        ValueError: inside torch.compile where seeds are held.
    """
    if torch.compiler.is_compiling():
        if _holding and lasting:
            raise ValueError(
                "masks that last over the windows of TBPTT, or of mask_seed, are not supported inside torch.compile; "
                "run the model itself, or do without recurrent_dropout, variational and zoneout"
            )
        return drawn(), 0
    context = _held.get()
    if context is None:
        return drawn(), 0
    return context.seeds.of(layer), context.step


def drawn() -> Tensor:
    """A seed () int64 from torch's generator, another one on every rank."""
    return _of_rank(torch.randint(2**63 - 1, (), dtype=torch.int64, device="cpu"))


def _of_rank(seed: Tensor) -> Tensor:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        seed = seed + torch.distributed.get_rank() * _RANKS_APART
    return seed
