"""The options that tasks on whole sequences share: where examples come from, what a token is, the encoder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from gatewise.tasks.options import Bounds, Count, Positive, without_effect
from gatewise.tasks.training_options import Patience, TrainingOptions


@dataclass(frozen=True, kw_only=True)
class ExampleOptions:
    """Where the examples to learn from and those to be scored come from."""

    data: tuple[Path, ...] = ()
    """Files of the data."""
    valid: tuple[Path, ...] = ()
    """Files for the held-out score, as in data, instead of a part of the data."""
    test: tuple[Path, ...] = ()
    """Files, as in data, that are scored at the end only."""
    held_out: Annotated[float, Bounds(low=0, high=1, open=True)] | None = None
    """Share of the data, drawn at random, that is held out; by default 0.1, but at most 100,000 rows."""


@dataclass(frozen=True, kw_only=True)
class EncoderOptions(TrainingOptions, ExampleOptions):
    """The encoder, and its training defaults."""

    bidirectional: bool = True
    """Read every sequence from its end too."""
    merge: Literal["concat", "sum", "mean", "mul", "learned"] = "concat"
    """How both directions become one."""
    hidden: Count = 128
    """Width of the hidden state, of each direction."""
    dropout: Annotated[float, Bounds(low=0, high=0.95)] = 0.5
    """Probability of dropping a unit before, between and after the recurrent layers."""
    batch: Count = 32
    """Number of sequences per step; those of a step are of similar length."""
    epochs: Count = 20
    lr: Positive = 1e-3
    patience: Patience = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.merge != "concat" and not self.bidirectional:
            raise ValueError(f"merge: {self.merge} combines two directions, and bidirectional is off; give one of them")

    def unused(self) -> dict[str, str]:
        return {
            **super().unused(),
            **without_effect(["merge"], "bidirectional is off: there is one direction", when=not self.bidirectional),
            **without_effect(["held_out"], "valid names the data to score instead", when=bool(self.valid)),
        }


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """How a sequence is labelled."""

    pooling: Literal["last", "mean", "max", "attention"] = "attention"
    """What a label is read from: the last states, the mean or maximum of all outputs, or attention."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weight of a label in the loss; balanced: in inverse proportion to how often it occurs."""


@dataclass(frozen=True, kw_only=True)
class TokenOptions:
    """What is known of a token."""

    vocabulary_size: Count | None = None
    """Number of tokens: the most frequent ones (default all), or bpe tokens to learn (default 2048)."""
    min_count: Count = 1
    """Occurrences in the training data below which a word is unknown."""
    lower: bool = True
    """Read words in lower case; spellings keep theirs."""
    digits: bool = True
    """Read every digit of a word as 0; spellings keep theirs."""
    unknown_weight: Annotated[float, Bounds(low=0)] = 1.0
    """In training a word that occurs n times there is read as unknown with probability weight / (weight + n)."""
    embedding: Path | None = None
    """File of word vectors to begin with (word2vec, GloVe, fastText)."""
    freeze: bool = False
    """Leave the vectors of the file as they are."""
    embedding_size: Count | None = None
    """Width of the embedding of a token; by default that of the file of word vectors, or 100."""
    spelling: Literal["none", "cnn", "recurrent"] = "cnn"
    """How a word's characters are read, beside the word as a whole."""
    character_embedding: Count = 25
    """Width of the embedding of a character."""
    spelling_size: Annotated[int, Bounds(low=2)] = 50
    """Width of the vector of a spelling."""

    def check_tokens(self, words: bool) -> None:
        """Settle the width of the embedding, unless a file will; options of words need words.

        Raises:
            ValueError: where such options are given and tokens are no words.
        """
        if self.embedding is None and self.embedding_size is None:
            object.__setattr__(self, "embedding_size", 100)
        if not words and self.embedding is not None:
            raise ValueError("embedding: a file of word vectors needs words; this model reads other tokens")
        if self.freeze and self.embedding is None:
            raise ValueError("freeze: there are no vectors to freeze; name a file with embedding")
        if self.spelling == "recurrent" and self.spelling_size % 2:
            raise ValueError(
                f"spelling_size: expected an even number, one half per direction, got {self.spelling_size}"
            )

    def unused_of_tokens(self, unit: str) -> dict[str, str]:
        """Those of these options that have no effect on tokens of a unit, each with the reason."""
        of_spellings = ("character_embedding", "spelling_size")
        of_words = ("min_count", "lower", "digits", "unknown_weight", "spelling", *of_spellings)
        return {
            **without_effect(of_words, f"it is for words, and the unit is {unit}", when=unit != "word"),
            **without_effect(["vocabulary_size"], "unit char takes every character", when=unit == "char"),
            **without_effect(
                of_spellings,
                "spelling is none: characters are not read",
                when=unit == "word" and self.spelling == "none",
            ),
        }
