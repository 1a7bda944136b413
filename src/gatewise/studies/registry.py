"""The studies, found by the files of this package."""

import difflib
import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache

import gatewise.studies
from gatewise.studies.study import Study


@cache
def studies() -> dict[str, Study]:
    """All studies by name, in the order of their claims.

    >>> studies()["C6"].word
    'memory'
    """
    found = [
        _study_in(f"{gatewise.studies.__name__}.{info.name}")
        for info in pkgutil.iter_modules(gatewise.studies.__path__)
        if info.name[0] == "c" and info.name[1:3].isdigit()
    ]
    return {study.name: study for study in sorted(found, key=lambda study: int(study.name[1:]))}


def choose(names: str | Sequence[str]) -> list[Study]:
    """The studies of these names or words; "all" for all, in the order of the claims.

    Raises:
        ValueError: for an unknown name.
        TypeError: for something that is not names.

    >>> [study.name for study in choose(["memory"])]
    ['C6']
    """
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"names: expected the name of a study, such as 'C6', or a list of them, got {names!r:.60}")
    if "all" in names:
        if len(names) > 1:
            raise ValueError(f"all: expected no other study beside it, got {', '.join(names)}")
        return list(studies().values())
    spelled = {key.lower(): (key, study) for study in studies().values() for key in (study.name, study.word)}
    for name in names:
        if name.lower() not in spelled:
            near = [spelled[one][0] for one in difflib.get_close_matches(name.lower(), spelled, n=2, cutoff=0.5)]
            hint = f"did you mean {' or '.join(near)}?" if near else "`gatewise study list` lists them"
            raise ValueError(f"unknown study {name!r}; {hint}")
    wanted = {spelled[name.lower()][1].name for name in names}
    return [study for study in studies().values() if study.name in wanted]


def _study_in(module: str) -> Study:
    classes = [
        value
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, type) and issubclass(value, Study) and value.__module__ == module
    ]
    if len(classes) != 1:
        raise RuntimeError(f"{module}: expected one study, found {len(classes)}")
    return classes[0]()
