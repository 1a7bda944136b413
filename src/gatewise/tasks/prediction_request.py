"""The files and options of `gatewise predict`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gatewise.tasks.requests import Request

SAMPLING = ("temperature", "top_k", "top_p", "seed")
WRITING = ("prompt", "length", *SAMPLING, "next", "score")
SEARCH = ("beam", "length_penalty")


@dataclass(frozen=True)
class PredictionRequest(Request):
    """The files and options of `gatewise predict`; None, and no files, for what was not given.

    The options are those of the command, which explains them.

    Raises:
        ValueError: for options that exclude each other whatever the model is.
    """

    data: Sequence[Path] = ()
    format: str | None = None
    input: str | None = None
    beam: int | None = None
    length_penalty: float | None = None
    probabilities: bool | None = None
    follow: bool | None = None
    prompt: str | None = None
    length: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    next: int | None = None
    score: Path | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        if self.next is not None and self.score is not None:
            raise ValueError("--next and --score exclude each other; give one of them")
