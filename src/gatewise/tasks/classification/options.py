"""The options of ``gatewise train classify``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gatewise.tasks.command import Command
from gatewise.tasks.options import Count, without_effect
from gatewise.tasks.sequence_options import EncoderOptions, ExampleOptions, LabelOptions, TokenOptions
from gatewise.tasks.table_options import TableOptions


@dataclass(frozen=True, kw_only=True)
class LabelledTextOptions(ExampleOptions, TableOptions):
    """What texts to learn, and what a token of them is."""

    data: tuple[Path, ...] = ()
    """Tables (.csv, .tsv, .jsonl, .parquet, .arrow), or folders with one of texts per class; by default docstrings."""
    text_column: str = "text"
    """Column of the text, by name, or by number (from 1) in a table without names."""
    label_column: str = "label"
    """Column of the label."""
    target: Literal["label", "labels", "number"] = "label"
    """What that column has: one label, several (or none), or a number to tell (regression)."""
    label_separator: str = ","
    """What stands between several labels."""
    unit: Literal["word", "char", "bpe"] = "word"
    """What a token is: a word or punctuation mark, a character, or a byte pair encoding."""
    longest: Count = 1000
    """Tokens of a text that are read; the rest is ignored."""


@dataclass(frozen=True, kw_only=True)
class ClassificationOptions(LabelOptions, EncoderOptions, TokenOptions, LabelledTextOptions):
    """Options of classification; the docstring of a field is its help."""

    hidden: Count = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_tokens(words=self.unit == "word")
        if not self.label_separator.strip():
            raise ValueError(
                f"label_separator: expected a character other than white space, got {self.label_separator!r}"
            )

    def unused(self) -> dict[str, str]:
        return {
            **super().unused(),
            **self.unused_of_tokens(self.unit),
            **without_effect(["label_separator"], f"target is {self.target}, not labels", when=self.target != "labels"),
            **without_effect(["class_weights"], f"target is {self.target}, not one label", when=self.target != "label"),
        }


COMMAND = Command(
    "Train a classifier on texts with labels: sentiment, topic, kind of question.",
    ("texts.txt", "texts.csv --out labels.csv"),
)
