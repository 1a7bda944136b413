"""Tables on a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatewise.diagnostics import Finding
    from gatewise.tasks.trained import Scores

_BASELINE, _MANY = "baseline_", 3


def scores_table(scores: "Scores") -> str:
    """A row per part of the data, a column per score, in their order; many of a baseline are rows of their own.

    Scores of classes are left out, see `class_tables`.

    >>> print(scores_table({"held_out": {"tokens": 1000, "loss": 1.25}}))
    part      tokens    loss
    held out   1,000  1.2500
    """
    numbers = {
        name: {key: value for key, value in part.items() if not isinstance(value, Mapping)}
        for name, part in scores.items()
    }
    found = _with_baseline_rows(numbers)
    columns = list(dict.fromkeys(name for row in found.values() for name in row))
    rows = [
        ["part", *(name.replace("_", " ") for name in columns)],
        *([name.replace("_", " "), *(_number(row.get(column)) for column in columns)] for name, row in found.items()),
    ]
    return aligned(rows, ["<", *">" * len(columns)])


def class_tables(scores: "Scores") -> str:
    """A table for each part of the data and its scores of classes, a row per class; empty where there are none.

    >>> of_class = {"precision": 1.0, "recall": 0.5, "f1": 0.6666, "support": 1200}
    >>> print(class_tables({"held_out": {"accuracy": 0.5, "per_label": {"good": of_class}}}))
    held out, per label  precision  recall      f1  support
    good                    1.0000  0.5000  0.6666    1,200
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
        [title, *columns],
        *([" ".join(name.split()), *(_number(row[column]) for column in columns)] for name, row in classes.items()),
    ]
    return aligned(rows, ["<", *">" * len(columns)])


def _with_baseline_rows(scores: Mapping[str, Mapping[str, float]]) -> dict[str, Mapping[str, float]]:
    found: dict[str, Mapping[str, float]] = {}
    for name, row in scores.items():
        of_baseline = {key.removeprefix(_BASELINE): value for key, value in row.items() if key.startswith(_BASELINE)}
        if len(of_baseline) < _MANY:
            found[name] = row
            continue
        found[name] = {key: value for key, value in row.items() if not key.startswith(_BASELINE)}
        found[f"{name}, baseline"] = of_baseline
    return found


def findings_table(findings: Iterable["Finding"]) -> str:
    """A row per finding, and below it what to do.

    >>> from gatewise.diagnostics import Finding
    >>> print(findings_table([Finding("dead ReLU", "l0", "30% are 0", {}, "Lower the rate.", "docs/a.md")]))
    layer  finding    evidence
    l0     dead ReLU  30% are 0
      Lower the rate. See docs/a.md
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


def aligned(rows: Sequence[Sequence[str]], sides: Sequence[str]) -> str:
    """Columns side by side, each to its side: ``<`` or ``>``."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
        for row in rows
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}"
