"""The options of ``gatewise train lm``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from gatewise.tasks.command import Command
from gatewise.tasks.options import Bounds, Count, without_effect
from gatewise.tasks.training_options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """What text to learn, and what a token of it is."""

    data: tuple[Path, ...] = ()
    """Text to learn from: UTF-8 files, patterns ('texts/*.gz'), folders; by default that of Python's own manual."""
    valid: tuple[Path, ...] = ()
    """Texts for the held-out score, instead of the last part of the data."""
    test: tuple[Path, ...] = ()
    """Texts that are scored at the end only."""
    held_out: Annotated[float, Bounds(low=0, high=1, open=True)] | None = None
    """Share of the data, at its end, that is held out; by default 0.1, but at most 10 million characters."""
    unit: Literal["char", "word", "bpe"] = "char"
    """What a token is: a character, a word between white space, or a byte pair encoding."""
    vocabulary_size: Count | None = None
    """Number of tokens: the most frequent words (default all), or bpe tokens to learn (default 2048)."""


@dataclass(frozen=True, kw_only=True)
class LanguageModelOptions(TrainingOptions, TextOptions):
    """Options of the language model; the docstring of a field is its help."""

    embedding: Count = 64
    """Width of the token embedding."""
    tie: bool = False
    """Use the embedding matrix for the read-out too; needs embedding = hidden."""
    window: Count = 64
    """Steps of truncated back-propagation through time."""
    steps_per_epoch: Count | None = None
    """Steps after which an epoch ends and the model is validated; by default those of one pass over the text."""
    loss_reduction: Literal["mean", "sum-over-time"] = "mean"
    """Loss of a window: mean over its tokens, or their sum over time, averaged over the batch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tie and self.embedding != self.hidden:
            raise ValueError(
                f"tie: needs an embedding as wide as the hidden state, got embedding {self.embedding} and "
                f"hidden {self.hidden}"
            )
        if self.vocabulary_size is not None and self.unit == "char":
            raise ValueError("vocabulary_size: is for the units word and bpe; unit char takes every character")

    def unused(self) -> dict[str, str]:
        return {
            **super().unused(),
            **without_effect(["held_out"], "valid names the data to score instead", when=bool(self.valid)),
        }


COMMAND = Command(
    "Train a language model on text: the next character, word or byte pair.",
    ('--prompt "The " --temperature 0.7', '--prompt "The " --next 5'),
)
