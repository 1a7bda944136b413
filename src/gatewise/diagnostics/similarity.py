"""Ordering of rows by similarity."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def order_by_similarity(rows: Tensor) -> list[int]:
    """The indices of rows, ordered such that neighbours are similar.

    Average linkage (Sokal & Michener 1958) over Euclidean distances; of the four ways to join two groups, the one with
    the most similar adjacent ends is chosen.

    Args:
        rows: (N, K), finite.

    >>> order_by_similarity(torch.tensor([[0.0], [9.0], [1.0], [8.0]]))
    [0, 2, 3, 1]
    """
    count = len(rows)
    if count < 2 or rows.shape[1] == 0:
        return list(range(count))
    ends: NDArray[np.float64] = torch.cdist(rows.double(), rows.double()).numpy()
    between = ends.copy()
    np.fill_diagonal(between, np.inf)
    groups = {index: [index] for index in range(count)}
    nearest = between.argmin(axis=1)
    shortest = between[np.arange(count), nearest]
    while len(groups) > 1:
        first = int(shortest.argmin())
        second = int(nearest[first])
        sizes = len(groups[first]), len(groups[second])
        groups[first] = _joined(groups[first], groups.pop(second), ends)
        merged = (between[first] * sizes[0] + between[second] * sizes[1]) / sum(sizes)
        merged[first] = np.inf
        between[first] = between[:, first] = merged
        between[second] = between[:, second] = np.inf
        shortest[second] = np.inf
        # Only groups whose nearest group was merged, or that are nearer to the new one, have another nearest group.
        for index in [first, *(other for other in groups if other != first and nearest[other] in (first, second))]:
            nearest[index] = between[index].argmin()
            shortest[index] = between[index, nearest[index]]
        nearer = merged < shortest
        nearest[nearer], shortest[nearer] = first, merged[nearer]
    (order,) = groups.values()
    return order


def _joined(left: list[int], right: list[int], distances: NDArray[np.float64]) -> list[int]:
    candidates = [
        (distances[a[-1], b[0]], number, a + b)
        for number, (a, b) in enumerate(
            ((left, right), (left, right[::-1]), (left[::-1], right), (left[::-1], right[::-1]))
        )
    ]
    return min(candidates)[2]
