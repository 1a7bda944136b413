"""Calibrated quantiles: split conformal prediction on the held-out part, for each step of the horizon.

Each quantile of level τ is moved by the least amount by which it would have held its share of the n held-out values
(the ⌈(n + 1) τ⌉-th of the conformity scores y − q, in units of the window's scale): conformalised quantile regression
with one correction per tail (Romano, Patterson & Candès 2019, arXiv:1905.03222, theorem 2). The median stays.

That promises coverage for exchangeable scores. Those of forecasts that overlap in time, or of series that move
together, are not: n of them are worth m ≤ n, see `effective_count`, and the share is that of m, τ (m + 1) / m. If
forecasts of one time depended on each other entirely, m would be the number of times, with the guarantee of Lee, Barber
& Willett 2023 (arXiv:2306.06342, for groups that are exchangeable).
"""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from gatewise.tasks.forecasting.effective_count import effective_count
from gatewise.tasks.forecasting.scores import BackTest
from gatewise.tasks.weights_file import checksum_of
from gatewise.writing import atomic_write


@dataclass(frozen=True)
class Calibration:
    """How far quantiles are moved, in units of the scale of the window before a forecast.

    Attributes:
        levels: L levels, 0.5 among them.
        moves: (K, L) float64, for each step of the horizon; 0 for the median.
    """

    levels: tuple[float, ...]
    moves: Tensor

    @classmethod
    def learn(cls, test: BackTest, notify: Callable[[str], None]) -> Self:
        """Of forecasts of held-out values that no calibration has moved.

        Where fewer of them than the outermost quantiles need do not overlap in time, intervals become wider only: that
        a few times were easy to forecast does not say that later ones are.

        Args:
            test: the forecasts.
            notify: receives notices.
        """
        scale = test.panel.scale_at(test.positions).scale[:, None, None]
        scores = (test.truth[..., None] - test.quantiles) / scale
        blocks = test.blocks()
        moves = moves_of(scores, blocks, test.levels)
        times = min(len(blocks[known].unique()) for known in (~test.truth.isnan()).T)
        needed = forecasts_needed(test.levels)
        if times < needed:
            moves = _widening(moves, test.levels)
            notify(
                f"intervals are calibrated by few forecasts: {times} in the held-out part do not overlap in time, and "
                f"quantiles {test.levels[0]:g} and {test.levels[-1]:g} need {needed}; so they may become wider, but "
                "not narrower; a longer --held-out has more"
            )
        return cls(test.levels, moves)

    def applied(self, quantiles: Tensor, scale: Tensor) -> Tensor:
        """Quantiles (N, K, L) of forecasts whose windows have scales (N,), moved and in order; the median as it was."""
        moved = quantiles + self.moves * scale[:, None, None]
        median = self.levels.index(0.5)
        columns = moved.unbind(-1)
        above = itertools.accumulate(columns[median:], torch.maximum)
        below = itertools.accumulate(columns[median::-1], torch.minimum)
        return torch.stack([*[*below][:0:-1], *above], -1)

    def of(self, test: BackTest) -> BackTest:
        """Forecasts with the quantiles moved, if they are."""
        if not self.moves.any():
            return test
        quantiles = self.applied(test.quantiles, test.panel.scale_at(test.positions).scale)
        return dataclasses.replace(test, quantiles=quantiles, uncalibrated=test.quantiles)

    def write(self, path: Path, weights: Path) -> None:
        """Write it to a file, with the checksum of the weights that it is of."""
        content = {
            "weights": checksum_of(weights),
            "levels": self.levels,
            "moves": self.moves.tolist(),
        }
        with atomic_write(path) as file:
            file.write((json.dumps(content) + "\n").encode())

    @classmethod
    def read(cls, path: Path, weights: Path, levels: Sequence[float], horizon: int) -> Self | None:
        """The calibration in a file; None where it is of other weights than those.

        Raises:
            ValueError: when the file is corrupt, or of another model.
            OSError: when it cannot be read.
        """
        content = path.read_bytes()
        try:
            found: Any = json.loads(content)
            moves = torch.tensor(found["moves"], dtype=torch.float64)
            read = cls(tuple(found["levels"]), moves)
            of = found["weights"]
        except (ValueError, KeyError, TypeError, RecursionError, RuntimeError):
            raise ValueError(f"{path}: not the calibration of a run, or corrupt") from None
        fits = read.levels == tuple(levels) and moves.shape == (horizon, len(levels)) and bool(moves.isfinite().all())
        if not fits:
            raise ValueError(f"{path}: expected a calibration of {horizon} steps at levels {tuple(levels)}")
        return read if of == checksum_of(weights) else None


def moves_of(scores: Tensor, blocks: Tensor, levels: Sequence[float]) -> Tensor:
    """By how much quantiles are moved to hold their shares of scores.

    Args:
        scores: (N, K, L), the conformity scores of forecasts at L levels; NaN where no value came.
        blocks: (N,) int64, the block of time of each.
        levels: the levels, of which 0.5 is not moved.

    Returns:
        (K, L) float64; 0 where no value came.
    """
    moves = torch.zeros(scores.shape[1:], dtype=torch.float64)
    for step in range(len(moves)):
        known = ~scores[:, step, 0].isnan()
        if not known.any():
            continue
        ordered = scores[known, step].sort(0).values
        first, last = (ordered[_position(len(ordered), level, math.inf), index] for index, level in _outermost(levels))
        missed = torch.stack((scores[known, step, 0] < first, scores[known, step, -1] > last), 1)
        effective = effective_count(missed, blocks[known])
        for index, level in enumerate(levels):
            if level != 0.5:
                moves[step, index] = ordered[_position(len(ordered), level, effective), index]
    return moves


def _widening(moves: Tensor, levels: Sequence[float]) -> Tensor:
    """Of moves (K, L) those away from the median."""
    lower = torch.tensor(levels) < 0.5
    return moves.clamp(max=0).where(lower, moves.clamp(min=0))


def _outermost(levels: Sequence[float]) -> tuple[tuple[int, float], tuple[int, float]]:
    return (0, levels[0]), (len(levels) - 1, levels[-1])


def forecasts_needed(levels: Sequence[float]) -> int:
    """How many held-out values it takes for the outermost quantiles to hold their share.

    >>> forecasts_needed((0.1, 0.5, 0.9)), forecasts_needed((0.025, 0.5, 0.9))
    (9, 39)
    """
    tail = min(min(level, 1 - level) for level in levels)
    return math.ceil(1 / tail - 1e-9) - 1


def _position(count: int, level: float, effective: float) -> int:
    """Which of n scores in order, from 0, moves a quantile of a level so that it holds its share.

    Args:
        count: n.
        level: the level.
        effective: how many independent scores they are worth.

    >>> _position(9, 0.9, 9), _position(9, 0.1, 9), _position(4, 0.9, 4), _position(99, 0.9, 99)
    (8, 0, 3, 89)
    >>> _position(99, 0.9, 20), _position(99, 0.1, 20), _position(99, 0.9, math.inf)
    (93, 5, 89)
    """
    if level < 0.5:
        return count - 1 - _position(count, 1 - level, effective)
    return min(count, math.ceil(count * level * (1 + 1 / effective) - 1e-9)) - 1
