"""``gatewise inspect``: watch a trained model while it reads data."""

import dataclasses
import json as json_format
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gatewise.cli.tables import findings_table
from gatewise.extras import require


def inspect(
    folder: Path,
    *,
    text: str | None = None,
    data: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative=())] = (),
    steps: int | None = None,
    series: str | None = None,
    sequence: int | None = None,
    out: Path | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Watch a trained model, forward and backward: gradients through time, gates, diagnosis.

    For a classifier or tagger, also attributions of its predictions to words: the change of the log-odds when the word
    is erased. For a numeric model, the same for steps and features of one sequence. For seq2seq, also the attention of
    each token of the answer, as a table and a plot. For a forecaster, also the contribution of each past value and
    each covariate to each step of the forecast: the change without it.

    Parameters
    ----------
    folder
        Run folder of the model.
    text
        Text to read.
    data
        Text files in UTF-8 to read instead, or a table, whose first row is read; for a numeric model, files in the
        format of the training data; for a forecaster, tables of series, by default those of the run.
    steps
        Number of tokens or steps to read, from the beginning (2000); for a series, the number of last steps to watch
        (by default the window of the run).
    series
        Name of the series to read, for a forecaster; by default the first.
    sequence
        Number of the sequence that a numeric model reads, counted from 1 (1).
    out
        Report to write, one page of HTML; by default report.html in the run folder.
    json
        Print the findings, and attributions if any, as JSON.
    """
    require("gatewise inspect", "tasks")

    from gatewise import tasks

    found = tasks.inspect(folder, text, data=data or None, steps=steps, series=series, sequence=sequence, out=out)
    trace = found.trace
    diagnosis = trace.diagnose()
    predictions = found.rows()
    if json:
        findings = [dataclasses.asdict(one) for one in diagnosis]
        result = {"predictions": predictions, "findings": findings} if predictions else findings
        print(json_format.dumps(result, indent=1, ensure_ascii=False))
        return
    if predictions:
        print(f"{found}\n")
    print(findings_table(diagnosis) if diagnosis else "nothing found")
    for one in diagnosis.unchecked:
        print(f"not checked: {one}")
    print("\nhow far back a gradient reaches:")
    for horizon in trace.memory_horizon().values():
        print(f"  {horizon}")
    print(f"\nreport of {sum(call.steps for call in trace.layers()[0]):,} steps: {out or folder / 'report.html'}")
