"""The options of ``gatewise train tag``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gatewise.data.word_features import NAMES, is_word_feature
from gatewise.tasks.builtin_data import is_builtin
from gatewise.tasks.command import Command
from gatewise.tasks.options import Count, Positive, without_effect
from gatewise.tasks.sequence_options import EncoderOptions, ExampleOptions, TokenOptions


@dataclass(frozen=True, kw_only=True)
class TaggedTextOptions(ExampleOptions):
    """What tagged words to learn."""

    data: tuple[Path, ...] = ()
    """Files of words in columns (CoNLL, CoNLL-U), or tables (.jsonl, .parquet); by default programs, by character."""
    word_column: str | None = None
    """Column of the word: a number from 1, or a name in CoNLL-U and tables; by default the first, form, or tokens."""
    tag_column: str | None = None
    """Column of the tag; by default the last, upos, or tags."""
    feature_columns: tuple[str, ...] = ()
    """Columns of further input for each word, such as its part of speech; predict needs them too."""
    word_features: tuple[str, ...] = ()
    """Features of the spelling of each word: caps, shape, prefix2, suffix3 and the like."""
    comments: str | None = None
    """Beginning of comment lines, empty if there are none; by default # in first lines unlike the rows of words."""
    unit: Literal["word", "char"] = "word"
    """What has a tag: a word, or a character (always so without data)."""


@dataclass(frozen=True, kw_only=True)
class TaggingOptions(EncoderOptions, TokenOptions, TaggedTextOptions):
    """Options of tagging; the docstring of a field is its help."""

    output: Literal["softmax", "crf"] = "softmax"
    """Whether each tag is decided alone, or all of a sentence together by a conditional random field."""
    scheme: Literal["auto", "none", "bio", "bioes"] = "auto"
    """Tags of entities to learn; auto: bioes, or bio in one direction; none: any tags, as they are."""

    feature_size: Count = 10
    """Width of the embedding of each feature of a word."""
    feature_connections: Literal["input", "output"] = "input"
    """Whether features are read by the recurrent layers, or connected to the tags directly (Huang et al. 2015)."""

    epochs: Count = 15
    lr: Positive = 2e-3

    def __post_init__(self) -> None:
        if self._reads_programs:
            object.__setattr__(self, "unit", "char")
        super().__post_init__()
        self.check_tokens(words=self.unit == "word")
        for name in self.word_features:
            if not is_word_feature(name):
                raise ValueError(f"word_features: expected some of {NAMES}, got {name!r}")
        for option in ("feature_columns", "word_features"):
            given = getattr(self, option)
            if len(set(given)) < len(given):
                raise ValueError(f"{option}: {', '.join(given)} has a name twice")
        both = set(self.feature_columns) & {*self.word_features, self.word_column, self.tag_column}
        if both:
            raise ValueError(f"feature_columns: {both.pop()} has another meaning already")

    def unused(self) -> dict[str, str]:
        return {
            **super().unused(),
            **self.unused_of_tokens(self.unit),
            **without_effect(
                ["feature_columns", "word_features"],
                f"it is for words, and the unit is {self.unit}",
                when=self.unit != "word",
            ),
            **without_effect(
                ["feature_size"],
                "feature_connections is output: the weights of a feature are as many as there are tags",
                when=self.feature_connections == "output",
            ),
            **without_effect(
                ["feature_size", "feature_connections"],
                "words have neither feature_columns nor word_features",
                when=not (self.feature_columns or self.word_features),
            ),
            **without_effect(["unit"], "without data, characters of programs are tagged", when=self._reads_programs),
        }

    @property
    def _reads_programs(self) -> bool:
        return not self.data or is_builtin(self.data[0])


COMMAND = Command(
    "Train a tagger on words with tags: parts of speech, named entities; or on characters.",
    ("sentences.txt", "words.conllu --out tags.conll"),
)
