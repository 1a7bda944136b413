"""``gatewise evaluate``: the scores of a trained model."""

import json as json_format
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from gatewise.cli.tables import class_tables, scores_table
from gatewise.extras import require


def evaluate(
    folder: Path,
    *,
    data: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative=())] = (),
    beam: int | None = None,
    length_penalty: float | None = None,
    precision: Literal["int8", "bf16"] | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Score a trained model on the data that its run held out, or on other data.

    For labels and tags, the scores of each class are printed too.

    Parameters
    ----------
    folder
        Run folder of the model.
    data
        Files to score instead, in the format of the training data.
    beam
        For seq2seq: number of hypotheses of the beam search; 1: greedy.
    length_penalty
        For seq2seq: power of the length by which log-probabilities are divided.
    precision
        Score with products of 8-bit integers (int8) or of bfloat16 (bf16) in the recurrent layers too, beside the
        scores in float32.
    json
        Print the scores as JSON, in full precision.
    """
    require("gatewise evaluate", "tasks")

    from gatewise import tasks

    given = {"beam": beam, "length_penalty": length_penalty}
    search = {name: value for name, value in given.items() if value is not None}
    model = tasks.load(folder)
    model.check_search(search)
    scores, *narrow = model.evaluate_in([None, *filter(None, [precision])], data or None, **search)
    for others in narrow:
        scores |= {f"{part}, {precision}": found for part, found in others.items()}
    if json:
        print(json_format.dumps(scores, indent=1))
    else:
        print("\n\n".join(filter(None, (scores_table(scores), class_tables(scores)))))
