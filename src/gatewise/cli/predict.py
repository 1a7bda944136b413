"""``gatewise predict``: predictions of a trained model, or text generated token by token."""

import itertools
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from gatewise.cli.options import check_supported, check_unused
from gatewise.cli.standard_input import input_waits
from gatewise.extras import require
from gatewise.formatting import format_number
from gatewise.progress import hidden, tracked
from gatewise.writing import atomic_write, check_writable

if TYPE_CHECKING:
    from gatewise.tasks.language_model.scores import TokenScore
    from gatewise.tasks.language_model.trained import TrainedLanguageModel
    from gatewise.tasks.trained import Trained


def predict(
    folder: Path,
    *data: Path,
    format: Literal["jsonl", "csv", "parquet", "columns", "text"] | None = None,
    input: Literal["columns", "text"] | None = None,
    beam: int | None = None,
    length_penalty: float | None = None,
    probabilities: Annotated[bool, Parameter(negative=())] = False,
    follow: Annotated[bool, Parameter(negative=())] = False,
    prompt: str | None = None,
    length: int | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    next: int | None = None,
    score: Path | None = None,
    out: Path | None = None,
) -> None:
    """Label, tag, forecast or translate data with a trained model; with a language model, generate or score text.

    Without data the standard input is read. A language model reads neither, but the options from --prompt on;
    --beam and --length-penalty are options of seq2seq.

    Parameters
    ----------
    folder
        Run folder of the model.
    data
        Files: a text per line, or the format of the training data (tables; columns of words).
    format
        Output format, one answer per line of text: jsonl; csv, with a row for each tag or label of a step; parquet,
        with the rows of jsonl; columns, for tags; text, for seq2seq. By default the format that the name of --out says;
        on the standard output jsonl, and columns for tags.
    input
        Input format of a tagger: columns, a word per line; text, a sentence per line. By default columns for files with
        such names (.conll, .conllu ...) or whose lines have tags, otherwise text.
    beam
        Number of hypotheses of the beam search; 1: greedy. By default as in training.
    length_penalty
        Power of the length by which log-probabilities are divided.
    probabilities
        Write the probability of every label, or of every tag of each word; for seq2seq the other hypotheses, with their
        log-probabilities.
    follow
        Forecast after each CSV row from the standard input, keeping the network's state; data, if given, is the
        history. Rows without a value announce the covariates of future steps.
    prompt
        Text to continue.
    length
        Number of tokens to generate (500).
    temperature
        Below 1: more likely text; above 1: more surprising text; 0: always the most likely token.
    top_k
        Sample from the k most likely tokens only. With --score: list k tokens at every position (default 5).
    top_p
        Sample from the smallest set of most likely tokens with this total probability.
    seed
        The same seed generates the same text.
    next
        List the n most likely next tokens (words, for a model of words) after the prompt, with probabilities.
    score
        Text file to score: rows with position, token, log_probability (natural) and the top tokens.
    out
        File to write instead of the standard output; its name gives the format: .jsonl, .csv or .parquet; for tags also
        .conll, .iob, .bio, .bioes, .tsv or .col; for seq2seq .txt. Generated text may have any name.
    """
    require("gatewise predict", "tasks")

    from gatewise import tasks

    if next is not None and score is not None:
        raise ValueError("--next and --score exclude each other; give one of them")
    if out is not None:
        check_writable(out)
    model: Any = tasks.load(folder)
    sampling = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    writing = {"prompt": prompt, "length": length, **sampling, "next": next, "score": score}
    chosen_format: str | None = None
    if score is not None or not hasattr(model, "stream"):
        chosen_format = _format(model, format, out)
    search = {"beam": beam, "length_penalty": length_penalty}
    reading = {"input": input}
    if not model.searches:
        check_supported(search, "it has no beam search")
    if not model.reads_columns:
        check_supported(reading, "only a tagger reads columns")
    if probabilities and not model.has_probabilities:
        raise ValueError("--probabilities is not supported by this model (it predicts no labels, tags or texts)")
    if not hasattr(model, "stream"):
        check_supported(writing, "only a language model generates text")
        if follow and not hasattr(model, "follow"):
            raise ValueError("--follow is not supported by this model (only a forecaster follows incoming rows)")
        wanted = search | reading | {"probabilities": probabilities or None}
        chosen = {name: value for name, value in wanted.items() if value is not None}
        pieces: Iterable[str | bytes] = (
            model.follow(data, chosen_format) if follow else model.answers(data, chosen_format, **chosen)
        )
    else:
        check_supported(
            {"data": data or None, "follow": follow or None},
            "a language model generates text; use --prompt or --score",
        )
        if score is None:
            check_supported({"format": format}, "generated text has none; only --score gives rows")
        if next is not None:
            check_unused({"length": length, **sampling}, "--next lists tokens and samples none")
        elif score is not None:
            others = {name: value for name, value in writing.items() if name not in ("score", "top_k")}
            check_unused(others, "--score reads its file and generates no text")
        elif prompt is None and input_waits(sys.stdin):
            raise ValueError(
                "a language model does not read the standard input; pass a text to continue with --prompt, or a "
                "file with --score"
            )
        pieces = _generated(
            model, prompt or "", 500 if length is None else length, sampling, next, score, chosen_format
        )
    if not follow:
        pieces = tracked(pieces, "predicting", "tokens" if hasattr(model, "stream") else "answers")
    if out is not None:
        with atomic_write(out) as file:
            file.writelines(piece.encode("utf-8") if isinstance(piece, str) else piece for piece in pieces)
    else:
        with hidden() if sys.stdout.isatty() else nullcontext():
            for piece in pieces:
                print(piece, end="", flush=True)


def _format(model: "Trained", format: str | None, out: Path | None) -> str | None:
    """The format of the answers, None for the model's own."""
    if out is None:
        if format == "parquet":
            raise ValueError("--format parquet: a Parquet file is binary; name it with --out")
        return format

    from gatewise.tasks.answer_formats import format_of

    return format_of(out, model.formats, format)


def _generated(
    model: "TrainedLanguageModel",
    prompt: str,
    length: int,
    sampling: dict[str, Any],
    next: int | None,
    score: Path | None,
    format: str | None,
) -> Iterable[str | bytes]:
    from gatewise.data.text import check_characters, read_text

    check_characters(prompt, "--prompt")
    if next is not None:
        return (f"{format_number(value):<6}  {token!r}\n" for token, value in model.next(prompt, next))
    if score is not None:
        top_k: int | None = sampling["top_k"]
        return _scored(model.score(read_text([score]), 5 if top_k is None else top_k), format)
    sampled = model.stream(prompt, length, **{name: value for name, value in sampling.items() if value is not None})
    return itertools.chain([prompt], sampled, ["\n"])


def _scored(scores: "Iterator[TokenScore]", format: str | None) -> Iterable[str | bytes]:
    from gatewise.tasks.answer_formats import written

    rows = (score._asdict() for score in scores)
    if format in (None, "jsonl"):
        return written(rows, format)
    # The columns of tables have one type each.
    return written(({**row, "top": [_top(*one) for one in row["top"]]} for row in rows), format)


def _top(token: str, probability: float) -> dict[str, str | float]:
    return {"token": token, "probability": probability}
