"""Many series side by side in flat tensors, and what a network reads of any steps of them."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from gatewise.data.series import Series, last_known
from gatewise.tasks.forecasting.preprocessing import Preprocessing
from gatewise.tasks.forecasting.scaling import Changes, Scale, lags, references, step_features

_ROWS = 16_384
NAN = float("nan")


class Panel:
    """Series one after the other; a step of one of them is a place in tensors of all.

    After each series K places are left for what is to come of it.

    Attributes:
        preprocessing: how they are read.
        series: they themselves.
        begins: the place of each one's first step.
        values: (M,) float64, NaN where missing.
        filled: (M,) float64; what is missing holds the value before it.
        inputs: (M, I) float32, what the network reads at each step.
        scale: the levels and scales of the windows that end at each step.
        usual: (M,) float64, the size of a usual change of the series up to each step.
        known: (M, J) float32, what is known of a step beside its value; NaN where a covariate is not.

    Args:
        preprocessing: how series are read.
        series: the series.
        before: the changes of all of them that were seen before their first step.
    """

    def __init__(self, preprocessing: Preprocessing, series: Sequence[Series], before: Changes | None = None) -> None:
        self.preprocessing = preprocessing
        self.series = list(series)
        self.begins: list[int] = []
        values: list[Tensor] = []
        filled: list[Tensor] = []
        inputs: list[Tensor] = []
        levels: list[Tensor] = []
        scales: list[Tensor] = []
        usual: list[Tensor] = []
        known: list[Tensor] = []
        to_come = torch.full((preprocessing.horizon,), NAN, dtype=torch.float64)
        position = 0
        for one in self.series:
            self.begins.append(position)
            position += len(one) + preprocessing.horizon
            true = torch.from_numpy(one.values)
            last = torch.from_numpy(last_known(one.values))
            beside = preprocessing.known(one, 0, len(one) + preprocessing.horizon)
            changes = (before or Changes()).after(last).usual
            read, scale = _read(last, changes, true.isnan(), beside[: len(one)], preprocessing.window)
            values += [true, to_come]
            filled += [last, to_come]
            inputs += [read, read.new_zeros(preprocessing.horizon, read.shape[1])]
            levels += [scale.level, to_come]
            scales += [scale.scale, to_come]
            usual += [changes, to_come]
            known.append(beside.float())
        self.values, self.filled, self.inputs = torch.cat(values), torch.cat(filled), torch.cat(inputs)
        self.scale = Scale(torch.cat(levels), torch.cat(scales))
        self.usual = torch.cat(usual)
        self.known = torch.cat(known)
        lengths = torch.tensor([len(one) + preprocessing.horizon for one in self.series])
        self._begin_of = torch.tensor(self.begins).repeat_interleave(lengths)
        self._lags = torch.tensor(lags(preprocessing.horizon, preprocessing.season))
        # Nothing comes after the places that are left at the very end.
        self._all = torch.arange(position - preprocessing.horizon)
        self._ahead = torch.arange(1, preprocessing.horizon + 1)

    @cached_property
    def all_references(self) -> Tensor:
        """`references` of all places."""
        return torch.cat([self.references(positions) for positions in self._all.split(_ROWS)])

    @cached_property
    def all_targets(self) -> Tensor:
        """What came after all places, scaled, (M, K) float32."""
        return torch.cat(
            [self.scale_at(positions).scaled(self.to_come(positions)).float() for positions in self._all.split(_ROWS)]
        )

    def scale_at(self, positions: Tensor) -> Scale:
        """The scale of forecasts from places (N,)."""
        return Scale(self.scale.level[positions], self.scale.scale[positions])

    def references(self, positions: Tensor) -> Tensor:
        """What is near at hand for the steps to come after places, (N, 2) or (N, 2 + K)."""
        return references(self._lagged(positions), self.scale_at(positions), self.preprocessing.season)

    def series_at(self, positions: Tensor) -> Tensor:
        """The numbers of the series that places (N,) are in."""
        return torch.bucketize(positions, torch.tensor(self.begins), right=True) - 1

    def beside(self, positions: Tensor) -> Tensor:
        """What is known of the steps to come after places beside their values, (N, K, J)."""
        return self.known[positions[:, None] + self._ahead]

    def before(self, positions: Tensor, width: int) -> Tensor:
        """The values up to places, (N, width) float64, the newest last; NaN where there was nothing yet."""
        return self._filled_at(positions[:, None] - torch.arange(width - 1, -1, -1), positions)

    def future(self, positions: Tensor) -> Tensor:
        """The covariates of the steps to come after places, (N, K, F)."""
        width = self.preprocessing.future_size
        return self.beside(positions)[..., self.known.shape[1] - width :]

    def to_come(self, positions: Tensor) -> Tensor:
        """The values after places, (N, K) float64; NaN where missing, or where the series has ended."""
        return self.values[positions[:, None] + self._ahead]

    def seasonal_naive(self, positions: Tensor) -> Tensor:
        """The value of the last such step of a season, for each step to come, (N, K) float64; else the last value."""
        lagged = self._lagged(positions)
        seasonal = lagged[:, 2:]
        return seasonal.where(~seasonal.isnan(), lagged[:, :1])

    def _lagged(self, positions: Tensor) -> Tensor:
        return self._filled_at(positions[:, None] - self._lags, positions)

    def _filled_at(self, indices: Tensor, positions: Tensor) -> Tensor:
        begin = self._begin_of[positions][:, None]
        return self.filled[indices.maximum(begin)].where(indices >= begin, NAN)


def _read(filled: Tensor, usual: Tensor, missing: Tensor, known: Tensor, window: int) -> tuple[Tensor, Scale]:
    before = filled.new_full((window - 1,), NAN)
    windows = torch.cat((before, filled)).unfold(0, window, 1)
    parts = [
        step_features(*(part[start : start + _ROWS] for part in (windows, usual, missing, known)))
        for start in range(0, len(filled), _ROWS)
    ]
    levels, scales = ([scale[of] for _, scale in parts] for of in (0, 1))
    return torch.cat([inputs for inputs, _ in parts]), Scale(torch.cat(levels), torch.cat(scales))
