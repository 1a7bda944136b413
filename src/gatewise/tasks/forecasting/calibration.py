"""Calibrated quantiles: split conformal prediction on the held-out part, for each step of the horizon.

Each quantile of level τ is moved by the least amount by which it would have held its share of the n held-out values
(the ⌈(n + 1) τ⌉-th of the conformity scores y − q, in units of the window's scale): conformalised quantile regression
with one correction per tail (Romano, Patterson & Candès 2019, arXiv:1905.03222, theorem 2). The median stays.
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

        Nothing is moved where fewer forecasts than the outermost quantiles need do not overlap: those that do are
        right or wrong together.

        Args:
            test: the forecasts.
            notify: receives notices.
        """
        scale = test.panel.scale_at(test.positions).scale[:, None, None]
        scores = (test.truth[..., None] - test.quantiles) / scale
        moves = torch.zeros(scores.shape[1:], dtype=torch.float64)
        counts, needed = test.apart(), forecasts_needed(test.levels)
        if min(counts) < needed:
            notify(
                f"intervals are not calibrated: {min(counts)} held-out forecasts do not overlap, and quantiles "
                f"{test.levels[0]:g} and {test.levels[-1]:g} need {needed}"
            )
            return cls(test.levels, moves)
        in_time = test.apart_in_time()
        if in_time < needed:
            notify(
                f"intervals are calibrated by forecasts of several series at once, of which only {in_time} do not "
                "overlap in time: if the series move together, the coverage can be far from the nominal one; compare "
                "uncalibrated_coverage, and see --no-calibrate"
            )
        for step in range(len(moves)):
            ordered = scores[:, step][~test.truth[:, step].isnan()].sort(0).values
            for at, level in enumerate(test.levels):
                if level != 0.5:
                    moves[step, at] = ordered[_position(len(ordered), level), at]
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


def forecasts_needed(levels: Sequence[float]) -> int:
    """How many held-out values it takes for the outermost quantiles to hold their share.

    >>> forecasts_needed((0.1, 0.5, 0.9)), forecasts_needed((0.025, 0.5, 0.9))
    (9, 39)
    """
    tail = min(min(level, 1 - level) for level in levels)
    return math.ceil(1 / tail - 1e-9) - 1


def _position(count: int, level: float) -> int:
    """Which of n scores in order, from 0, moves a quantile of a level so that it holds its share.

    >>> _position(9, 0.9), _position(9, 0.1), _position(4, 0.9), _position(99, 0.9)
    (8, 0, 3, 89)
    """
    if level > 0.5:
        return min(count, math.ceil((count + 1) * level - 1e-9)) - 1
    return max(1, math.floor((count + 1) * level + 1e-9)) - 1
