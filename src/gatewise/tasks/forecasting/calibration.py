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
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from gatewise.tasks.forecasting.effective_count import EffectiveCount, effective_count
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

        Nothing is moved where fewer forecasts than the outermost quantiles need are independent of each other.

        Args:
            test: the forecasts.
            notify: receives notices.
        """
        scale = test.panel.scale_at(test.positions).scale[:, None, None]
        scores = (test.truth[..., None] - test.quantiles) / scale
        moves, counts = moves_of(scores, test.blocks(), test.levels)
        needed, fewest = forecasts_needed(test.levels), min(counts, key=lambda count: count.least)
        if fewest.least < needed:
            moves = torch.zeros_like(moves)
            notify(
                f"intervals are not calibrated: {fewest.blocks} held-out forecasts do not overlap in time, all "
                f"together are worth {fewest.least:.0f} independent ones for sure, and quantiles {test.levels[0]:g} "
                f"and {test.levels[-1]:g} need {needed}; a longer --held-out has more"
            )
        return cls(test.levels, moves)

    def applied(self, quantiles: Tensor, scale: Tensor) -> Tensor:
        """Quantiles (N, K, L) of forecasts whose windows have scales (N,), moved and in order; the median as it was."""
        moved = quantiles + self.moves * scale[:, None, None]
        at = self.levels.index(0.5)
        above = moved[..., at:].cummax(-1).values
        below = moved[..., : at + 1].flip(-1).cummin(-1).values.flip(-1)
        return torch.cat((below[..., :-1], above), -1)

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


def moves_of(scores: Tensor, blocks: Tensor, levels: Sequence[float]) -> tuple[Tensor, list[EffectiveCount]]:
    """By how much quantiles are moved to hold their shares of scores, and how many independent scores decided.

    Args:
        scores: (N, K, L), the conformity scores of forecasts at L levels; NaN where no value came.
        blocks: (N,) int64, the block of time of each.
        levels: the levels, of which 0.5 is not moved.

    Returns:
        (K, L) float64, and for each step of the horizon the number; of no scores 0.
    """
    moves = torch.zeros(scores.shape[1:], dtype=torch.float64)
    counts: list[EffectiveCount] = []
    for step in range(len(moves)):
        known = ~scores[:, step, 0].isnan()
        if not known.any():
            counts.append(EffectiveCount(0, 0, 0))
            continue
        ordered = scores[known, step].sort(0).values
        first, last = (ordered[_position(len(ordered), level, math.inf), at] for at, level in _outermost(levels))
        missed = torch.stack((scores[known, step, 0] < first, scores[known, step, -1] > last), 1)
        counts.append(effective_count(missed, blocks[known]))
        for at, level in enumerate(levels):
            if level != 0.5:
                moves[step, at] = ordered[_position(len(ordered), level, counts[-1].estimate), at]
    return moves, counts


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
