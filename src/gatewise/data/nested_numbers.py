"""Arrow columns whose cells are lists of lists of numbers, as arrays."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow


def nested_numbers(cells: "pyarrow.Array") -> list[NDArray[np.float64]] | None:
    """The numbers (T, I) of each cell, NaN for null; None where cells are not lists of T lists of I numbers, one I.

    >>> import pyarrow
    >>> [cell.tolist() for cell in nested_numbers(pyarrow.array([[[1, 2], [3, None]], [[5, 6]]]))]
    [[[1.0, 2.0], [3.0, nan]], [[5.0, 6.0]]]
    >>> nested_numbers(pyarrow.array([[[1, 2], [3]]])), nested_numbers(pyarrow.array([[["1"]]]))
    (None, None)
    """
    import pyarrow
    from pyarrow import types

    if not isinstance(cells, pyarrow.ListArray | pyarrow.LargeListArray) or cells.null_count:
        return None
    steps = cells.flatten()
    if not isinstance(steps, pyarrow.ListArray | pyarrow.LargeListArray) or steps.null_count or not len(steps):
        return None
    numbers = steps.flatten()
    widths = np.asarray(steps.value_lengths())
    if not (types.is_integer(numbers.type) or types.is_floating(numbers.type)) or not (widths == widths[0]).all():
        return None
    if not widths[0]:
        return None
    together = numbers.cast("float64", safe=False).to_numpy(zero_copy_only=False).reshape(-1, int(widths[0]))
    return np.split(together, np.cumsum(np.asarray(cells.value_lengths()))[:-1])
