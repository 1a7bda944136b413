"""``gatewise study``: test claims about recurrent networks by experiments."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from gatewise.tasks.requests import check_unused


def study(
    *names: str,
    budget: Literal["quick", "full"] | None = None,
    seeds: int | None = None,
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Test claims of textbooks about recurrent networks by experiments.

    Parameters
    ----------
    names
        Studies by number (C6) or word (memory); all for all; list to list them.
    budget
        quick (the default): some minutes for each study, whose verdicts are indicative. full: up to a quarter of an
        hour for each on two cores.
    seeds
        Number of seeds; by default at least 5 for quick, at least 10 for full.
    out
        Folder to write; by default a new one in runs/.
    resume
        Keep the measurements that an interrupted or finished run left in the folder, if settings and software are
        unchanged.
    """
    if not names:
        raise ValueError("name a study, for example: gatewise study C1 (or see gatewise study list)")
    if names == ("list",):
        given = {"budget": budget, "seeds": seeds, "out": out, "resume": resume or None}
        check_unused(given, "list only lists the studies")
        _print_list()
        return

    from gatewise.studies.verbs import study as run

    results = run(names, budget=budget or "quick", seeds=seeds, out=out, resume=resume)
    for name, record in results.items():
        print(f"{name}  {record.verdict}")


def _print_list() -> None:
    from gatewise.extras import require

    require("gatewise study", "studies")

    from gatewise.studies.registry import studies

    width = max(len(study.word) for study in studies().values())
    for study in studies().values():
        print(f"{study.name:<4} {study.word:<{width}}  {study.title}")
