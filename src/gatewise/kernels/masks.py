"""Masks of a call: their probabilities, the seed, and the generator, in torch's integer arithmetic.

The engine computes the same bits (``csrc/masks.h``): a mask is a function of seed, layer, direction, name, row, step
and unit, so it is recomputed where it is needed, in any order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gatewise.equations.expression import Mask
from gatewise.equations.masks import key_of

_WORD = 0xFFFFFFFF
_LANES, _WORDS = 16, 4


@dataclass(frozen=True, eq=False)
class Masks:
    """The masks of a call.

    Attributes:
        seed: () int64 on the CPU; None where nothing is drawn.
        rates: of each mask of the cell, in order: the threshold p · 2^32 below which a random word drops its unit, and
            the factor of a unit that is kept; see `rates_of`.
        stream: the number of the layer and direction: 2·layer, or 2·layer + 1 for the second direction.
        step: of the first step of the call, in a sequence of several calls.
        rates_text: the rates as text, made before a compiler follows the call, which cannot format them.
        weight_drop: the probability of dropping a weight of a recurrent product; see `gatewise.kernels.weight_drop`.
    """

    seed: Tensor | None
    rates: tuple[float, ...]
    stream: int = 0
    step: int = 0
    rates_text: str = ""
    weight_drop: float = 0.0

    @property
    def text(self) -> str:
        """All but the seed, for arguments of operators; empty without masks."""
        rates = self.rates_text or text_of(self.rates)
        return f"{self.stream} {self.step} {rates}" if rates else ""

    @classmethod
    def from_text(cls, seed: Tensor | None, text: str) -> "Masks":
        """The masks of this seed and `text`."""
        stream, step, *rates = text.split()
        return cls(seed, tuple(map(float, rates)), int(stream), int(step))

    def later(self, steps: int) -> "Masks":
        """The masks from some steps later."""
        return replace(self, step=self.step + steps)

    def of_direction(self, index: int) -> "Masks":
        """The masks of one direction of a bidirectional call."""
        return replace(self, stream=self.stream + index)

    def values(self, mask: Mask, number: int, step: int, rows: int, hidden: int, like: Tensor) -> Tensor:
        """A mask (B, H) at a step of the call.

        Args:
            mask: the mask.
            number: which of the cell's.
            step: of the call.
            rows: B.
            hidden: H.
            like: its dtype and device.
        """
        threshold, kept = self.rates[2 * number], self.rates[2 * number + 1]
        if threshold == 0:
            return like.new_full((rows, hidden), kept)
        assert self.seed is not None
        counted = self.step + step if mask.each_step else 0
        words = random_words(self.seed, self.stream, counted, key_of(mask), rows, hidden)
        return factors(words.to(like.device), int(threshold), kept, like.dtype)


def text_of(rates: Sequence[float]) -> str:
    """Rates as text."""
    return " ".join(map(repr, rates))


def identity(count: int) -> Masks:
    """Masks that keep everything."""
    return Masks(None, (0.0, 1.0) * count)


def rates_of(masks: Sequence[Mask], probabilities: dict[str, float], *, training: bool) -> tuple[float, ...]:
    """The rates of masks with these probabilities, by name."""
    rates: list[float] = []
    for mask in masks:
        p = probabilities[mask.name]
        drawn, kept = float(round(p * 2**32)), 1.0
        if mask.kind == "dropout" and training:
            kept = 1 / (1 - p) if p < 1 else 0.0
        elif mask.kind == "zoneout" and not training:
            kept = 1 - p
        rates += (drawn if training else 0.0, kept)
    return tuple(rates)


def factors(words: Tensor, threshold: int, kept: float, dtype: torch.dtype) -> Tensor:
    """The factors of units: 0 where a random word is below the threshold, else ``kept``."""
    return (words >= threshold).to(dtype) * kept


def random_words(
    seed: Tensor, stream: int, step: int, name: int, rows: int, hidden: int, device: torch.device | str = "cpu"
) -> Tensor:
    """(B, H) int64, a random word of 32 bits for each row and unit."""
    seed, unit = seed.to(device), torch.arange(hidden, device=device)
    counter = unit // (_LANES * _WORDS) * _LANES + unit % _LANES
    first = (counter | stream << 20).expand(rows, hidden)
    row = torch.arange(rows, device=device)[:, None]
    words = philox((first, torch.tensor(step & _WORD, device=device), row, torch.tensor(name, device=device)), seed)
    chosen = unit // _LANES % _WORDS
    found = words[0].expand(rows, hidden)
    for index in range(1, _WORDS):
        found = torch.where(chosen == index, words[index], found)
    return found


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], seed: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Philox4x32-10 (Salmon et al. 2011): four random words of 32 bits for each counter.

    Args:
        counter: four words, int64 each, which are broadcast.
        seed: () int64, the key.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = seed & _WORD, (seed >> 32) & _WORD
    for _ in range(10):
        a, b = c0 * 0xD2511F53, c2 * 0xCD9E8D57  # 64 bits; the sign is one of them
        c0, c1, c2, c3 = (b >> 32) & _WORD ^ c1 ^ k0, b & _WORD, (a >> 32) & _WORD ^ c3 ^ k1, a & _WORD
        k0, k1 = (k0 + 0x9E3779B9) & _WORD, (k1 + 0xBB67AE85) & _WORD
    return c0, c1, c2, c3
