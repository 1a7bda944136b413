"""`gatewise.study`: run studies and write their results."""

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gatewise.extras import require
from gatewise.progress import say
from gatewise.writing import as_path

if TYPE_CHECKING:
    from gatewise.studies.record import Record


def study(
    names: str | Sequence[str] = "all",
    *,
    budget: Literal["quick", "full"] = "quick",
    seeds: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> "dict[str, Record]":
    """Test claims about recurrent networks by experiments, and write results, figures and a page.

    The seeds of a study run in parallel processes of one thread each. In the folder, each study leaves ``C1.json`` (all
    numbers), ``C1.md`` (the page), ``C1.png`` and ``C1.svg`` (the figure), and ``C1.jobs.jsonl`` (its measurements as
    they arrived, for ``resume``); ``index.html`` shows all studies of the folder.

    Args:
        names: studies by number ("C6") or word ("memory"), or "all".
        budget: "quick", some minutes for each study, whose verdicts are indicative; "full", up to a quarter of an hour
            for each on two cores.
        seeds: the number of seeds; by default that of the study: at least 5 for quick, at least 10 for full.
        out: the folder to write; by default a new one in ``runs/``.
        resume: keep the measurements that an interrupted or finished run left in the folder, if settings and software
            are unchanged, and make the others.

    Returns:
        the results by study.

    Raises:
        ValueError: for an unknown study or budget, a number of seeds below 1, or results that exist already.
        TypeError: for names that are not texts, or a folder that is not a path.
        OSError: when a file cannot be read or written.

    >>> import gatewise
    >>> results = gatewise.study("C6", out="runs/memory")  # doctest: +SKIP
    >>> results["C6"].verdict  # doctest: +SKIP
    'holds (indicative)'
    """
    require("gatewise.study", "studies")

    from gatewise.studies.folder import StudyFolder
    from gatewise.studies.registry import choose
    from gatewise.tasks.run_folder import unused

    chosen = choose(names)
    if budget not in ("quick", "full"):
        raise ValueError(f"budget: expected quick or full, got {budget!r}")
    if seeds is not None and (isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1):
        raise ValueError(f"seeds: expected a whole number of at least 1, got {seeds!r}")
    if resume and out is None:
        raise ValueError("resume: name the folder of the interrupted run with out (--out)")
    folder = StudyFolder(unused("study") if out is None else as_path("out", out))
    folder.check([one.name for one in chosen], resume=resume)

    from gatewise.kernels.cpu.parallelism import processors
    from gatewise.studies.record import record_of
    from gatewise.studies.running import run

    results: dict[str, Record] = {}
    for one in chosen:
        began_at = time.monotonic()
        count = one.seeds[budget] if seeds is None else seeds
        done = run(one, budget, count, folder.log(one.name), workers=processors())
        command = ["gatewise", "study", one.name, "--budget", budget]
        if seeds is not None:
            command += ["--seeds", str(seeds)]
        record = record_of(one, done, shlex.join(command), processors(), time.monotonic() - began_at)
        folder.write(one, record)
        results[one.name] = record
        say(f"{one.name}, {one.title}: {record.verdict}. {record.conclusion.because}")
    return results
