"""Tables for a terminal."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from gatewise.formatting import aligned, format_number
from gatewise.tasks.measure import best

if TYPE_CHECKING:
    from gatewise.diagnostics import Finding
    from gatewise.tasks.trained import Scores

_BASELINES = {"baseline_": "baseline", "last_value_": "last value"}
_BEST = "*"


def scores_table(scores: "Scores") -> str:
    """A row per split of the data, followed by its baselines; a column per score, in order.

    If a score has a baseline, the better value is marked. Scores of classes are not included, see `class_tables`.

    >>> print(scores_table({"held_out": {"tokens": 1000, "accuracy": 0.0088, "baseline_accuracy": 0.00876}}))
    part                tokens  accuracy
    held out             1,000  0.008800*
    held out, baseline          0.008760
    * the better of model and baseline
    """
    parts = _by_part(scores)
    titles = ["part", *(title for rows in parts for title in rows)]
    names = list(dict.fromkeys(name for rows in parts for row in rows.values() for name in row))
    columns = [
        [name.replace("_", " "), *(cell for rows in parts for cell in _cells(name, rows.values()))] for name in names
    ]
    marked = [any(cell.endswith(_BEST) for cell in column) for column in columns]
    columns = [
        [cell if cell.endswith(_BEST) else f"{cell} " for cell in column] if has_mark else column
        for column, has_mark in zip(columns, marked, strict=True)
    ]
    table = aligned(list(zip(titles, *columns, strict=True)), ["<", *">" * len(columns)])
    return f"{table}\n{_BEST} the better of model and baseline" if any(marked) else table


def _by_part(scores: "Scores") -> list[dict[str, dict[str, float]]]:
    """For each split of the data its rows by title: the model's, and those of baselines."""
    parts: dict[str, dict[str, dict[str, float]]] = {}
    for name, row in scores.items():
        part, _, baseline = name.partition("_baseline_")
        rows = parts.setdefault(part, {})
        title = part.replace("_", " ") + f", baseline {baseline.replace('_', ' ')}" * bool(baseline)
        rows[title] = {}
        for key, value in row.items():
            if isinstance(value, Mapping):
                continue
            prefix = next((prefix for prefix in _BASELINES if key.startswith(prefix)), "")
            of = rows.setdefault(f"{title}, {_BASELINES[prefix]}", {}) if prefix else rows[title]
            of[key.removeprefix(prefix)] = value
    return list(parts.values())


def _cells(name: str, rows: Iterable[Mapping[str, float]]) -> list[str]:
    """The column of a score in the rows of a split."""
    values = [row.get(name) for row in rows]
    found = [value for value in values if value is not None]
    marked = best(name, found) if len(set(found)) > 1 else None
    return [
        "" if value is None else format_number(value) + _BEST * (marked is not None and value == marked)
        for value in values
    ]


def class_tables(scores: "Scores") -> str:
    """A table of class scores for each split of the data, a row per class; empty if there are none.

    >>> of_class = {"precision": 1.0, "recall": 0.5, "f1": 0.6666, "support": 1200}
    >>> print(class_tables({"held_out": {"accuracy": 0.5, "per_label": {"good": of_class}}}))
    held out, per label  precision  recall      f1  support
    good                     1.000  0.5000  0.6666    1,200
    """
    tables = [
        (f"{part}, {name}".replace("_", " "), classes)
        for part, row in scores.items()
        for name, classes in row.items()
        if isinstance(classes, Mapping) and classes
    ]
    return "\n\n".join(_class_table(title, classes) for title, classes in tables)


def _class_table(title: str, classes: Mapping[str, Mapping[str, float]]) -> str:
    columns = list(next(iter(classes.values())))
    rows = [
        [title, *(column.replace("_", " ") for column in columns)],
        *(
            [" ".join(name.split()), *(format_number(row[column]) for column in columns)]
            for name, row in classes.items()
        ),
    ]
    return aligned(rows, ["<", *">" * len(columns)])


def findings_table(findings: Iterable["Finding"]) -> str:
    """A row per finding, followed by its advice.

    >>> from gatewise.diagnostics import Finding
    >>> print(findings_table([Finding("dead ReLU", "l0", "30% are 0", {}, "Lower the rate.", "gatewise explain x")]))
    layer  finding    evidence
    l0     dead ReLU  30% are 0
      Lower the rate. See gatewise explain x
    """
    found = list(findings)
    rows = [["layer", "finding", "evidence"], *([one.layer, one.kind, one.evidence] for one in found)]
    head, *lines = aligned(rows, "<<<").splitlines()
    below = [
        "".join(
            (
                f"\n  So also: {', '.join(one.consequences)}." * bool(one.consequences),
                f"\n  {one.advice} See {one.page}",
            )
        )
        for one in found
    ]
    return "\n".join([head, *(line + after for line, after in zip(lines, below, strict=True))])
