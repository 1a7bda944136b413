"""Sequences of numbers and categories to the inputs of a network."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatewise.data.batches import side_by_side
from gatewise.data.categories import Categories
from gatewise.data.mapped import Mapped
from gatewise.data.scaling import Scaling
from gatewise.data.sequence_store import NumericSequence
from gatewise.models.category_embedding import CategoryEmbedding
from gatewise.models.encoder import Encoder
from gatewise.progress import say, tracked
from gatewise.tasks.encoding import make_encoder
from gatewise.tasks.parts import check_all

_MAX_NAMED = 20


class FeatureReader:
    """Reads sequences for one network: features scaled, categories as numbers.

    A feature that has missing values in the training data has a further column, which is 1 where it is missing; the
    feature is 0 there.

    Args:
        options: the options of the run.
        scaling: of the I features.
        categories: the values of the categorical columns.
    """

    def __init__(self, options: Any, scaling: Scaling, categories: Categories) -> None:
        self.scaling = scaling
        self.categories = categories
        self._size = options.category_size
        self._dtype = torch.float64 if options.precision == "64" else torch.float32

    @classmethod
    def learn(cls, options: Any, examples: Sequence[NumericSequence]) -> Self:
        """The reader of the training data."""
        scaling = Scaling.learn(Mapped(examples, lambda example: example.steps))
        if not options.scale or options.binary:
            scaling = Scaling.none(scaling.width, scaling.missing)
        columns = {
            name: (value for example in examples for value in example.categories[name]) for name in options.categorical
        }
        reader = cls(options, scaling, Categories.learn(columns))
        constant = [
            f"{name} ({float(scaling.means[index]):g})"
            for index, name in reader._named(scaling.constant, options.feature_columns)
        ]
        if constant:
            more = f" and {len(constant) - _MAX_NAMED} more features" if len(constant) > _MAX_NAMED else ""
            say(f"warning: never change in the training data: {', '.join(constant[:_MAX_NAMED])}{more}")
        return reader

    @property
    def parts(self) -> dict[str, Any]:
        """What is kept in the run folder."""
        return {"scaling": self.scaling, "categories": self.categories}

    @property
    def width(self) -> int:
        """The width of a step."""
        return self.scaling.width + len(self.scaling.missing) + self._size * len(self.categories)

    def first_layer(self, options: Any) -> nn.Module:
        """Numbers as they are, and embeddings of the categories, with their initial weights."""
        counts = [vocabulary.counts for vocabulary in self.categories.vocabularies.values()]
        numbers = self.scaling.width + len(self.scaling.missing)
        return CategoryEmbedding(numbers, counts, self._size) if counts else nn.Identity()

    def encoder(self, options: Any, steps: nn.Module) -> Encoder:
        """The encoder over the steps, with its initial weights; what was measured is not dropped."""
        return make_encoder(options, self.width, drop_input=False)

    def summary(self, names: Sequence[str]) -> list[str]:
        """Lines about what it reads, for people.

        Args:
            names: the names of the features; none where they have none.
        """
        lines = [f"features of a step: {self.scaling.width}"]
        if self.scaling.missing:
            missing = [name for _, name in self._named(self.scaling.missing, names)]
            lines.append(f"features with missing values: {len(missing)} ({', '.join(missing[:_MAX_NAMED])})")
        return [*lines, self.categories.summary] if len(self.categories) else lines

    def _named(self, indices: Sequence[int], names: Sequence[str]) -> list[tuple[int, str]]:
        """Features with their names, or their numbers where they have none."""
        return [(index, names[index] if names else str(index + 1)) for index in indices]

    def check(self, examples: Sequence[NumericSequence], where: str) -> None:
        """Check that sequences can be read, with a notice of unknown categories.

        Raises:
            ValueError: for a sequence with other features than in training; with its number.
        """
        check_all(where, tracked(examples, "checking", "sequences"), lambda example: self.scaling.scaled(example.steps))
        if not len(self.categories):
            return
        numbered = (self.categories.encode(example.categories) for example in examples)
        notice = self.categories.unknown_notice(where, numbered)
        if notice is not None:
            say(f"warning: {notice}")

    def numbers(self, steps: Sequence[NDArray[np.float64]]) -> Tensor:
        """The scaled features (T, B, I) of B sequences; NaN where a value is missing, and in the padding."""
        flat = self.scaling.scaled(np.concatenate(steps)).to(self._dtype)
        return side_by_side(flat, torch.tensor(list(map(len, steps))), torch.nan)

    def batch(self, rows: Sequence[NumericSequence]) -> tuple[tuple[Tensor, ...], Tensor]:
        """The inputs of a batch and their lengths (B,)."""
        numbers = self.numbers([row.steps for row in rows])
        missing = numbers[..., self.scaling.missing].isnan()
        lengths = torch.tensor([row.length for row in rows])
        inputs = torch.cat((numbers.nan_to_num(0.0), missing.to(self._dtype)), -1)
        if not len(self.categories):
            return (inputs,), lengths
        numbered = torch.cat([self.categories.encode(row.categories) for row in rows])
        return (inputs, side_by_side(numbered, lengths)), lengths

    def columns(self, names: Sequence[str]) -> dict[str, list[int]]:
        """Of each feature and category the columns of a step that have it.

        Args:
            names: the names of the I features.
        """
        width, missing = self.scaling.width, self.scaling.missing
        found = {
            name: [index, *(width + missing.index(index) for _ in range(index in missing))]
            for index, name in enumerate(names)
        }
        first = width + len(missing)
        for name in self.categories.names:
            found[name] = list(range(first, first := first + self._size))
        return found
