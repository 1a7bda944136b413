"""``gatewise predict``: predictions of a trained model, or text generated token by token."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from gatewise.extras import require
from gatewise.progress import hidden, tracked
from gatewise.writing import atomic_write, check_writable


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
    precision: Literal["int8", "bf16"] | None = None,
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
    precision
        Multiply 8-bit integers (int8) or numbers rounded to bfloat16 (bf16) in the recurrent layers; by default numbers
        of the weights' precision.
    out
        File to write instead of the standard output; its name gives the format: .jsonl, .csv or .parquet; for tags also
        .conll, .iob, .bio, .bioes, .tsv or .col; for seq2seq .txt. Generated text may have any name.
    """
    require("gatewise predict", "tasks")

    from gatewise import tasks
    from gatewise.tasks.prediction_request import PredictionRequest

    request = PredictionRequest(
        data=data,
        format=format,
        input=input,
        beam=beam,
        length_penalty=length_penalty,
        probabilities=probabilities or None,
        follow=follow or None,
        prompt=prompt,
        length=length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        next=next,
        score=score,
        out=out,
    )
    if out is not None:
        check_writable(out)
    model = tasks.load(folder)
    pieces = model.predict_requested(request)
    if not follow:
        pieces = tracked(pieces, "predicting", model.output_unit)
    with model.in_precision(precision):
        if out is not None:
            with atomic_write(out) as file:
                file.writelines(piece.encode("utf-8") if isinstance(piece, str) else piece for piece in pieces)
        else:
            with hidden() if sys.stdout.isatty() else nullcontext():
                for piece in pieces:
                    print(piece, end="", flush=True)
