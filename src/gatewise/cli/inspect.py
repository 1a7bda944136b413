"""``gatewise inspect``: look into a trained model while it reads."""

import dataclasses
import json as json_format
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gatewise.cli.answers import answers, answers_table
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
    """Watch a trained model read, forward and backward: gradients through time, gates, what is wrong.

    Of a classifier or tagger, also which words moved its answers: by how much each raises the log-odds of an answer,
    against the same text with the word erased. Of a model of numbers, the same of steps and of features, a sequence of
    its data being read. Of a model that answers a text with another, also where it looked for each token of its
    answer, here and as a picture. Of a model of forecasts, which reads series, also by how much the value of each step,
    and each covariate, moved each step of the forecast, against the same series without it.

    Parameters
    ----------
    folder
        Run folder of the model.
    text
        Text to read.
    data
        Text files in UTF-8 to read instead; for a model of numbers, files such as it was trained on; for forecasts
        tables of series, by default those of the run.
    steps
        Read at most so many tokens or steps, from the beginning (2000); of a series, watch so many steps, the last ones
        (by default the window of the run).
    series
        Name of the series to read, for forecasts; by default the first.
    sequence
        Which sequence of the data a model of numbers reads, counted from 1 (1).
    out
        Report to write, one page of HTML; by default report.html in the run folder.
    json
        Print the findings as JSON; of a model that answers, the answers too.
    """
    require("gatewise inspect", "tasks")

    from gatewise import tasks
    from gatewise.diagnostics import Trace

    found = tasks.inspect(folder, text, data=data or None, steps=steps, series=series, sequence=sequence, out=out)
    trace = found if isinstance(found, Trace) else found.trace
    diagnosis = trace.diagnose()
    if json:
        findings = [dataclasses.asdict(one) for one in diagnosis]
        shown = findings if isinstance(found, Trace) else {"answers": answers(found), "findings": findings}
        print(json_format.dumps(shown, indent=1, ensure_ascii=False))
        return
    if not isinstance(found, Trace):
        print(f"{answers_table(found)}\n")
    print(findings_table(diagnosis) if diagnosis else "nothing found")
    for one in diagnosis.unchecked:
        print(f"not checked: {one}")
    print("\nhow far back a gradient reaches:")
    for horizon in trace.memory_horizon().values():
        print(f"  {horizon}")
    print(f"\nreport of {sum(call.steps for call in trace.layers()[0]):,} steps: {out or folder / 'report.html'}")
