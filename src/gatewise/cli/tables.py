"""Scores as a table."""

from collections.abc import Mapping


def scores_table(scores: Mapping[str, Mapping[str, float]]) -> str:
    """A row per text, a column per score, in the order in which they come.

    >>> print(scores_table({"held_out": {"tokens": 1000, "loss": 1.25}}))
    text      tokens    loss
    held out   1,000  1.2500
    """
    columns = list(dict.fromkeys(name for row in scores.values() for name in row))
    rows = [
        ["text", *(name.replace("_", " ") for name in columns)],
        *([name.replace("_", " "), *(_number(row.get(column)) for column in columns)] for name, row in scores.items()),
    ]
    first, *others = (max(len(cell) for cell in column) for column in zip(*rows, strict=True))
    return "\n".join(
        "  ".join((name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, others, strict=True))))
        for name, *cells in rows
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}"
