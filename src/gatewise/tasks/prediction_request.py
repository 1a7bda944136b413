"""What `gatewise predict` is asked for, and what is said where a model does not support it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLING = ("temperature", "top_k", "top_p", "seed")
WRITING = ("prompt", "length", *SAMPLING, "next", "score")
SEARCH = ("beam", "length_penalty")


@dataclass(frozen=True)
class PredictionRequest:
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

    def given(self, names: Iterable[str]) -> dict[str, Any]:
        """Those of the options that were given, with their values."""
        return _given(vars(self), names)

    def check_supported(self, unsupported: Iterable[str], reason: str) -> None:
        """Check that no option was given that the model does not have.

        Raises:
            ValueError: naming the first, with the reason why the model has no such option.

        >>> PredictionRequest(top_k=3).check_supported(WRITING, "only a language model generates text")
        Traceback (most recent call last):
        ValueError: --top-k is not supported by this model (only a language model generates text)
        """
        check_supported(vars(self), unsupported, reason)

    def check_unused(self, unused: Iterable[str], reason: str) -> None:
        """Check that no option was given that another makes ineffective.

        Raises:
            ValueError: naming the first, with the reason why it has no effect.
        """
        for name in self.given(unused):
            raise ValueError(f"{_flag(name)} has no effect: {reason}")


def check_supported(options: Mapping[str, object], unsupported: Iterable[str], reason: str) -> None:
    """Check that no option was given that a model does not have, see `PredictionRequest.check_supported`.

    Args:
        options: values by name; None for those that were not given.
        unsupported: the names of those that the model does not have.
        reason: why not.
    """
    for name in _given(options, unsupported):
        raise ValueError(f"{_flag(name)} is not supported by this model ({reason})")


def _given(options: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if options.get(name) not in (None, ())}


def _flag(name: str) -> str:
    return name if name == "data" else f"--{name.replace('_', '-')}"
