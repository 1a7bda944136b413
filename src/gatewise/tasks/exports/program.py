"""A program of tensors: a module of a run as an export writes it, with its inputs and outputs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from gatewise.models.category_embedding import CategoryEmbedding
from gatewise.models.token_embedding import TokenEmbedding

Sizes = Mapping[str, int]

SIZES: Final[tuple[Sizes, ...]] = (
    {"steps": 7, "rows": 3, "characters": 5, "words": 11},
    {"steps": 12, "rows": 2, "characters": 4, "words": 6},
)
"""Open sizes: those that are exported, and others. All differ, so that none is taken for another."""


@dataclass(frozen=True)
class Input:
    """An input of a program.

    Attributes:
        name: its name.
        sizes: numbers, and the names of open sizes.
        range: of integers, from the first to the last, for open sizes; None for floating-point numbers.
        dtype: of floating-point numbers; None for that of the model.
    """

    name: str
    sizes: tuple[str | int, ...]
    range: Callable[[Sizes], tuple[int, int]] | None = None
    dtype: torch.dtype | None = None

    def drawn(self, sizes: Sizes, dtype: torch.dtype, draw: torch.Generator) -> Tensor:
        """Random values: normal ones of a type, or integers of the range."""
        shape = [sizes[size] if isinstance(size, str) else size for size in self.sizes]
        if self.range is None:
            return torch.randn(shape, generator=draw, dtype=self.dtype or dtype)
        first, last = self.range(sizes)
        return torch.randint(first, last + 1, shape, generator=draw)


@dataclass(frozen=True)
class Program:
    """A module and what it takes and returns.

    Attributes:
        module: takes the inputs as ``*tensors`` and returns one tensor, or a tuple of them.
        inputs: in order.
        outputs: names of the results.
        part: the name of the part of the model that it is; empty for all of it.
    """

    module: nn.Module
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    part: str = ""

    def drawn(self, sizes: Sizes) -> tuple[Tensor, ...]:
        """Random arguments."""
        draw = torch.Generator().manual_seed(0)
        dtype = next(self.module.parameters()).dtype
        return tuple(one.drawn(sizes, dtype, draw) for one in self.inputs)

    @property
    def description(self) -> list[str]:
        """Lines about inputs and outputs, for people."""
        dtype = next(self.module.parameters()).dtype
        types = [torch.int64 if one.range is not None else one.dtype or dtype for one in self.inputs]
        listed = [
            f"{one.name} ({', '.join(map(str, one.sizes))}{',' * (len(one.sizes) == 1)}) "
            f"{str(kind).removeprefix('torch.')}"
            for one, kind in zip(self.inputs, types, strict=True)
        ]
        return [f"inputs: {', '.join(listed)}", f"outputs: {', '.join(self.outputs)}"]


def tokens(name: str, sizes: tuple[str | int, ...], count: int) -> Input:
    """An input of integers from 0 to below a count."""
    return Input(name, sizes, lambda _: (0, count - 1))


def chosen(name: str, sizes: tuple[str | int, ...], embeddings: Iterable[nn.Module]) -> Input:
    """An input (…, C) of numbers of C embeddings, within the smallest of them."""
    counts = [one.embedding.num_embeddings for one in embeddings if isinstance(one, TokenEmbedding)]
    return tokens(name, (*sizes, len(counts)), min(counts))


def embedded_width(categories: CategoryEmbedding | None) -> int:
    """The width of the embeddings of categories alone."""
    embeddings = () if categories is None else categories.categories
    return sum(one.width for one in embeddings if isinstance(one, TokenEmbedding))


def lengths(name: str = "lengths", size: str = "rows", longest: str = "steps") -> Input:
    """An input of lengths, at least 1."""
    return Input(name, (size,), lambda sizes: (1, sizes[longest]))
