"""The options of ``gatewise train numeric``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from gatewise.data.sequence_columns import SequenceColumns
from gatewise.tasks.command import Command
from gatewise.tasks.options import Bounds, Count, Positive, without_effect
from gatewise.tasks.sequence_options import EncoderOptions, ExampleOptions, LabelOptions
from gatewise.tasks.table_options import NumberTableOptions
from gatewise.tasks.training_options import Patience


@dataclass(frozen=True, kw_only=True)
class NumericDataOptions(ExampleOptions, NumberTableOptions):
    """What sequences to learn."""

    data: tuple[Path, ...] = ()
    """Tables with a row per step (.csv, .tsv, .parquet), or .jsonl, of rows or of sequences; needed."""
    sequence_column: str = "sequence"
    """Column that says which sequence a row belongs to."""
    label_column: str = "label"
    """Column of the label."""
    feature_columns: tuple[str, ...] = ()
    """Columns of the features; by default all others."""
    categorical: tuple[str, ...] = ()
    """Columns of text, or of numbers that are only names, whose values are embedded beside the features."""
    missing: Literal["error", "mask"] = "error"
    """Missing values of features: an error, or read as the mean, with a column that says where they are missing."""


@dataclass(frozen=True, kw_only=True)
class NumericOptions(LabelOptions, EncoderOptions, NumericDataOptions):
    """Options of numeric sequences; the docstring of a field is its help."""

    predict: Literal["sequence", "steps", "next", "number"] = "sequence"
    """A label for each sequence, for each step, the next step (from those before it), or a number for each sequence."""
    values: Literal["real", "binary"] = "real"
    """What the next step has: real numbers (least squares), or 0 and 1 (each feature a probability of its own)."""
    pooling: Literal["last", "mean", "max", "attention"] = "max"
    scale: bool = True
    """Bring real features to mean 0 and standard deviation 1."""
    category_size: Count = 8
    """Width of the embedding of each categorical column."""

    hidden: Count = 200
    dropout: Annotated[float, Bounds(low=0, high=0.95)] = 0.3
    """Probability of dropping a unit between and after the recurrent layers; what was measured is not dropped."""
    batch: Count = 16
    epochs: Count = 100
    lr: Positive = 5e-3
    patience: Patience = 15

    def __post_init__(self) -> None:
        if self.predict == "next" and self.class_weights != "none":
            raise ValueError("class_weights: are for labels, and the next step has none; leave them at none")
        if self.predict == "next":
            # The other direction would read the answer.
            object.__setattr__(self, "bidirectional", False)
        taken = (self.sequence_column, self.label_column, *self.feature_columns)
        names = [*self.categorical, *(name for name in taken if name in self.categorical)]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"categorical: column {twice!r} is named twice, or is not a categorical one too")
        super().__post_init__()

    @property
    def binary(self) -> bool:
        """Whether the features of the next step are 0 or 1."""
        return self.predict == "next" and self.values == "binary"

    @property
    def columns(self) -> SequenceColumns:
        """Which columns of tables are what."""
        return SequenceColumns(
            self.sequence_column, self.label_column, self.feature_columns, self.categorical, self.missing == "mask"
        )

    def unused(self) -> dict[str, str]:
        label = self.predict in ("sequence", "number")
        next_step = self.predict == "next"
        return {
            **super().unused(),
            **without_effect(["pooling"], f"predict is {self.predict}: every step has its own answer", when=not label),
            **without_effect(["values"], "it is of the next step, and predict is not next", when=not next_step),
            **without_effect(
                ["bidirectional", "merge", "class_weights"],
                "predict is next: a step is predicted from those before it alone, and has no label",
                when=next_step,
            ),
            **without_effect(["class_weights"], "predict is number, which has no label", when=self.predict == "number"),
            **without_effect(["scale"], "values are 0 and 1", when=self.binary),
            **without_effect(["category_size"], "there are no columns in categorical", when=not self.categorical),
        }


COMMAND = Command(
    "Train on sequences of numbers, many at each step: label them, label their steps, or predict the next step.",
    ("sequences.csv", "sequences.csv --out answers.csv"),
    data="--data motions.csv ",
)
