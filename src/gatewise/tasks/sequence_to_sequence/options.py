"""The options of ``gatewise train seq2seq``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from gatewise.tasks.builtin_data import builtin_name
from gatewise.tasks.command import Command
from gatewise.tasks.options import Bounds, Count, Positive, without_effect
from gatewise.tasks.sequence_options import EncoderOptions, ExampleOptions
from gatewise.tasks.table_options import TableOptions

DATES, DOCSTRINGS = "dates", "docstrings"

# Few and short texts: few tokens, one vocabulary for both sides, many small steps.
DOCSTRINGS_DEFAULTS: dict[str, object] = {
    "vocabulary": "shared",
    "vocabulary_size": 1024,
    "longest": 56,
    "length_penalty": 2.0,  # answers are shorter than first lines otherwise
    "embedding_size": 192,
    "dropout": 0.3,
    "batch": 500,
    "epochs": 25,
    "lr": 4e-3,
}
"""What options that are not given are for docstrings."""


@dataclass(frozen=True, kw_only=True)
class DecodingOptions:
    """The defaults of the search for answers."""

    beam: Annotated[int, Bounds(low=1, high=1000)] = 5
    """Hypotheses that are followed side by side when an answer is searched; 1: greedy."""
    length_penalty: Annotated[float, Bounds(low=0, high=10)] = 1.0
    """Power of the length that log-probabilities are divided by; 0: not at all, which favours short answers."""
    longest: Annotated[int, Bounds(low=2)] = 200
    """Tokens of a source that are read, and of an answer that are written; pairs with longer ones teach nothing."""


@dataclass(frozen=True, kw_only=True)
class PairOptions(ExampleOptions, TableOptions):
    """What pairs to learn, and what a token of them is."""

    data: tuple[Path, ...] = ()
    """Tables of pairs, two parallel text files (sources, targets), or builtin:docstrings; by default dates."""
    held_out: Annotated[float, Bounds(low=0, high=1, open=True)] | None = None
    """Share of the data, drawn at random, that is held out; by default 0.05, but at most 10,000 pairs."""
    source_column: str | None = None
    """Column of the source in tables, by name or number (from 1); by default source, or the first."""
    target_column: str | None = None
    """Column of the target; by default target, or the second."""
    unit: Literal["bpe", "char", "word"] = "bpe"
    """What a token is: byte pair, character (always so without data), or word between white space."""
    vocabulary: Literal["separate", "shared"] = "separate"
    """Whether sources and targets have tokens, and their embedding, of their own or together."""
    vocabulary_size: Count | None = None
    """Number of tokens of a vocabulary: byte pairs to learn (default 4096), or the most frequent words (all)."""


@dataclass(frozen=True, kw_only=True)
class SequenceToSequenceOptions(DecodingOptions, EncoderOptions, PairOptions):
    """Options of sequence to sequence; the docstring of a field is its help."""

    cell: str = "gru_cudnn"
    """Recurrent cell of both: a built-in one (see gatewise explain --list), or FILE.py:NAME, one of your own."""
    decoder_cell: str | None = None
    """Another cell for the decoder; its first state is learned from the encoder's last hidden state in any case."""
    attention: Literal["luong-general", "luong-dot", "bahdanau", "none"] = "luong-general"
    """What the decoder sees of the source; bahdanau runs step by step in training, the others as one sequence."""
    hidden: Count = 128
    """Width of the decoder's hidden state."""
    encoder_hidden: Count | None = None
    """Width of the encoder's hidden state, of each direction; by default the decoder's."""
    embedding_size: Count = 256
    """Width of the embedding of a token."""
    tie: bool = True
    """Read the next token out with the embedding's own weights."""
    dropout: Annotated[float, Bounds(low=0, high=0.95)] = 0.2
    label_smoothing: Annotated[float, Bounds(low=0, high=0.95)] = 0.1
    """Share of the probability that the loss spreads evenly over all tokens."""
    batch: Count = 2000
    """Tokens per step, those of sources and targets with padding; pairs of a step are of similar length."""
    epochs: Count = 12
    lr: Positive = 2e-3

    def __post_init__(self) -> None:
        if self.builtin == DATES:
            object.__setattr__(self, "unit", "char")
        super().__post_init__()
        if self.vocabulary_size is not None and self.unit == "char":
            raise ValueError("vocabulary_size: is for the units bpe and word; unit char takes every character")
        for option in ("recurrent_dropout", "variational", "weight_drop"):
            if self.attention == "bahdanau" and getattr(self, option):
                raise ValueError(
                    f"{option}: has one mask for a whole sequence, and with attention bahdanau the decoder runs step "
                    "by step; choose another attention, or zoneout"
                )

    @classmethod
    def defaults_for(cls, values: Mapping[str, Any]) -> Mapping[str, object]:
        """For docstrings in byte pairs, `DOCSTRINGS_DEFAULTS`."""
        of_docstrings = builtin_name(values.get("data", ()), (DATES, DOCSTRINGS)) == DOCSTRINGS
        return DOCSTRINGS_DEFAULTS if of_docstrings and values.get("unit", "bpe") == "bpe" else {}

    def unused(self) -> dict[str, str]:
        return {
            **super().unused(),
            **without_effect(["unit"], "without data, dates are read by characters", when=self.builtin == DATES),
        }

    @property
    def builtin(self) -> str | None:
        """The name of the data that needs no file, None where files are named."""
        return builtin_name(self.data, (DATES, DOCSTRINGS))


COMMAND = Command(
    "Train on pairs of texts, to write the second for the first: translation, summaries, normal forms.",
    ("sources.txt", "sources.txt --beam 1 --out answers.txt"),
)
