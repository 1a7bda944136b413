"""``gatewise evaluate``: the scores of a trained model."""

import json as json_format
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gatewise.cli.tables import scores_table


def evaluate(
    folder: Path,
    *,
    data: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative=())] = (),
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Score a trained model on the text that its run held out, or on other text.

    Parameters
    ----------
    folder
        Run folder of the model.
    data
        Text files in UTF-8 to score instead.
    json
        Print the scores as JSON, in full precision.
    """
    from gatewise import tasks

    scores = tasks.evaluate(folder, data or None)
    print(json_format.dumps(scores, indent=1) if json else scores_table(scores))
