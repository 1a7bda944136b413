"""What `gatewise predict` writes with a language model: a text, the next tokens, or the scores of a text."""

import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from gatewise.data.text import check_characters
from gatewise.formatting import format_number
from gatewise.tasks.language_model.scores import TokenScore
from gatewise.tasks.prediction_formats import written
from gatewise.tasks.prediction_request import SAMPLING, WRITING, PredictionRequest
from gatewise.tasks.waiting_input import input_waits

if TYPE_CHECKING:
    from gatewise.tasks.language_model.trained import TrainedLanguageModel


def predicted(model: "TrainedLanguageModel", request: PredictionRequest) -> Iterable[str | bytes]:
    """The pieces of what is written.

    Args:
        model: the model.
        request: what is asked for, checked by `check_request`.

    Raises:
        ValueError: for a prompt that is not a text, or an option out of its bounds.
        OSError: when a file cannot be read.
    """
    prompt = check_characters(request.prompt or "", "--prompt")
    if request.next is not None:
        return (f"{format_number(value):<6}  {token!r}\n" for token, value in model.next(prompt, request.next))
    if request.score is not None:
        scores = model.score_file(request.score, 5 if request.top_k is None else request.top_k)
        return _scored(scores, request.format)
    length = 500 if request.length is None else request.length
    return itertools.chain([prompt], model.stream(prompt, length, **request.given(SAMPLING)), ["\n"])


def check_request(request: PredictionRequest) -> None:
    """Check that the options fit a language model, and one another.

    Raises:
        ValueError: when they do not.
    """
    request.check_supported(("data", "follow"), "a language model generates text; use --prompt or --score")
    if request.score is None:
        request.check_supported(("format",), "generated text has none; only --score gives rows")
    if request.next is not None:
        request.check_unused(("length", *SAMPLING), "--next lists tokens and samples none")
    elif request.score is not None:
        others = (name for name in WRITING if name not in ("score", "top_k"))
        request.check_unused(others, "--score reads its file and generates no text")
    elif request.prompt is None and input_waits(sys.stdin):
        raise ValueError(
            "a language model does not read the standard input; pass a text to continue with --prompt, or a "
            "file with --score"
        )


def _scored(scores: Iterator[TokenScore], format: str | None) -> Iterable[str | bytes]:
    rows = (score._asdict() for score in scores)
    if format in (None, "jsonl"):
        return written(rows, format)
    # The columns of tables have one type each.
    return written(({**row, "top": [_prediction_row(*one) for one in row["top"]]} for row in rows), format)


def _prediction_row(token: str, probability: float) -> dict[str, str | float]:
    return {"token": token, "probability": probability}
