"""Parametrisation by several axes: every pair of values in `make test`, every combination in `make test-all`."""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

# Set by `make test-all`.
ALL = bool(os.environ.get("GATEWISE_TEST_ALL"))


def combinations(axes: Mapping[str, Iterable[Any]]) -> pytest.MarkDecorator:
    """Parametrise a test by axes, each the name or names of arguments with its values."""
    parameters = [pytest.param(*_flat(axes, row), id="-".join(map(_label, row))) for row in combined(axes.values())]
    return pytest.mark.parametrize(",".join(axes), parameters)


def combined(axes: Iterable[Iterable[Any]]) -> list[tuple[Any, ...]]:
    """Every pair of values of two axes at least once, or all combinations.

    A mistake mostly shows for some pair of values, whatever else is chosen. The two longest axes are the ones whose
    combinations cannot be fewer: each cell, say, meets each way to run it.
    """
    values = [list(axis) for axis in axes]
    return list(itertools.product(*values)) if ALL else pairwise(values)


def examples(count: int) -> int:
    """The number of random examples that a test tries: ``count`` in `make test-all`, in `make test` a third."""
    return count if ALL else -(-count // 3)


def _flat(axes: Iterable[str], row: Sequence[Any]) -> Iterator[Any]:
    """The values of a row, one for each argument."""
    for names, value in zip(axes, row, strict=True):
        if "," in names:
            yield from value
        else:
            yield value


def pairwise(axes: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Few rows with every pair of values of two axes in one at least.

    As in Lei and Tai, "In-Parameter-Order: A Test Generation Strategy for Pairwise Testing" (1998): each axis, the
    longest first, is added to all rows so that as many new pairs as possible occur, and the others in new rows.
    """
    order = sorted(range(len(axes)), key=lambda axis: -len(axes[axis]))
    rows: list[dict[int, int]] = [{}]
    for number, axis in enumerate(order):
        count = range(len(axes[axis]))
        if number < 2:
            rows = [{**row, axis: value} for row in rows for value in count]
            continue
        missing = {
            (other, mine, value) for other in order[:number] for mine in range(len(axes[other])) for value in count
        }
        for index, row in enumerate(rows):
            pairs = [{(other, mine, value) for other, mine in row.items()} & missing for value in count]
            # Of values that are as good, another each time.
            row[axis] = max(count, key=lambda value: (len(pairs[value]), -((value - index) % len(count))))
            missing -= pairs[row[axis]]
        for other, mine, value in sorted(missing):
            rows.append({**rows[len(rows) % len(axes[axis])], other: mine, axis: value})
    return [tuple(values[row[axis]] for axis, values in enumerate(axes)) for row in rows]


def _label(value: Any) -> str:
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) else str(value)
