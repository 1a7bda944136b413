"""Many series one after the other, and what a network reads of any steps of them."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from gatewise.data.row_collector import RowCollector
from gatewise.data.row_store import Field, RowStore
from gatewise.data.series import Series, last_known
from gatewise.tasks.forecasting.preprocessing import Preprocessing
from gatewise.tasks.forecasting.scaling import Changes, Scale, lags, references, step_features

_ROWS = 16_384
NAN = float("nan")

_NUMBERS = ("values", "filled", "level", "scale", "usual")


class Panel:
    """Series one after the other; a step of one of them is a position in arrays of all, in memory or in mapped files.

    After each series K positions are left for what is to come of it. Of each position there are ``values`` (NaN where
    missing), ``filled`` (what is missing holds the value before it), ``level`` and ``scale`` of the window that ends
    there, and ``usual``, the size of a usual change of the series up to there, float64; ``inputs`` (I), what the
    network reads at the step, and ``known`` (J), what is known of the step beside its value, NaN where a covariate is
    not, float32.

    Attributes:
        preprocessing: how they are read.
        series: they themselves.
        begins: the position of each one's first step.

    Args:
        preprocessing: how series are read.
        series: the series.
        before: the changes of all of them that were seen before their first step.
        make_folder: see `RowCollector`; by default all is kept in memory.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        series: Sequence[Series],
        before: Changes | None = None,
        make_folder: Callable[[], Path] | None = None,
    ) -> None:
        self.series = series
        self._rows = _collected(preprocessing, series, before or Changes(), make_folder)
        ends = torch.from_numpy(self._rows.lengths("values")).cumsum(0)
        self._begins = torch.cat((ends.new_zeros(1), ends[:-1]))
        self.begins: list[int] = self._begins.tolist()
        self._cut = ends - preprocessing.horizon
        self._set(preprocessing)

    def _set(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        self._lags = torch.tensor(lags(preprocessing.horizon, preprocessing.season))
        self._ahead = torch.arange(1, preprocessing.horizon + 1)

    def until(self, ends: Sequence[int], preprocessing: Preprocessing) -> "Panel":
        """The same panel without the values after the end of a part of each series, for a horizon that may be shorter.

        Args:
            ends: the steps of each series until then.
            preprocessing: with the horizon.
        """
        found = copy.copy(self)
        found._cut = self._begins + torch.tensor(ends)
        found._set(preprocessing)
        return found

    def array_at(self, name: str, positions: Tensor) -> Tensor:
        """One of the arrays at positions (…), (…) or (…, I or J)."""
        return torch.from_numpy(self._rows.items(name)[positions.numpy()])

    def values(self, begin: int, end: int) -> Tensor:
        """The values at some positions that follow each other, (end − begin,) float64."""
        return self.array_at("values", torch.arange(begin, end))

    def targets(self, positions: Tensor) -> Tensor:
        """What came after positions (N,), scaled, (N, K) float32; NaN where missing."""
        return self.scale_at(positions).scaled(self.to_come(positions)).float()

    def scale_at(self, positions: Tensor) -> Scale:
        """The scale of forecasts from positions (N,)."""
        return Scale(self.array_at("level", positions), self.array_at("scale", positions))

    def references(self, positions: Tensor) -> Tensor:
        """The last values before the steps that follow positions, (N, 2) or (N, 2 + K)."""
        return references(self._lagged(positions), self.scale_at(positions), self.preprocessing.season)

    def series_at(self, positions: Tensor) -> Tensor:
        """The numbers of the series that positions are in."""
        return torch.bucketize(positions, self._begins, right=True) - 1

    def known_to_come(self, positions: Tensor) -> Tensor:
        """What is known of the steps to come after positions beside their values, (N, K, J)."""
        return self.array_at("known", positions[:, None] + self._ahead)

    def before(self, positions: Tensor, width: int) -> Tensor:
        """The values up to positions, (N, width) float64, the newest last; NaN where there was nothing yet."""
        return self._filled_at(positions[:, None] - torch.arange(width - 1, -1, -1), positions)

    def future(self, positions: Tensor) -> Tensor:
        """The covariates of the steps to come after positions, (N, K, F)."""
        width = self.preprocessing.future_size
        return self.known_to_come(positions)[..., self.preprocessing.known_size - width :]

    def to_come(self, positions: Tensor) -> Tensor:
        """The values after positions, (N, K) float64; NaN where missing, or where the series has ended."""
        ahead = positions[:, None] + self._ahead
        return self.array_at("values", ahead).where(ahead < self._cut[self.series_at(positions)][:, None], NAN)

    def seasonal_naive(self, positions: Tensor) -> Tensor:
        """The value of the last such step of a season, for each step to come, (N, K) float64; else the last value."""
        lagged = self._lagged(positions)
        seasonal = lagged[:, 2:]
        return seasonal.where(~seasonal.isnan(), lagged[:, :1])

    def _lagged(self, positions: Tensor) -> Tensor:
        return self._filled_at(positions[:, None] - self._lags, positions)

    def _filled_at(self, indices: Tensor, positions: Tensor) -> Tensor:
        begin = self._begins[self.series_at(positions)][:, None]
        return self.array_at("filled", indices.maximum(begin)).where(indices >= begin, NAN)


def _collected(
    preprocessing: Preprocessing,
    series: Sequence[Series],
    before: Changes,
    make_folder: Callable[[], Path] | None,
) -> RowStore:
    """The arrays of a panel, a row for each series."""
    known = preprocessing.known_size
    fields = {
        **{name: Field("float64") for name in _NUMBERS},
        "inputs": Field("float32", (3 + known,)),
        "known": Field("float32", (known,)),
    }
    rows = RowCollector(fields, make_folder)
    horizon = preprocessing.horizon
    to_come = torch.full((horizon,), NAN, dtype=torch.float64)
    for one in series:
        true = torch.from_numpy(one.values.copy())  # those of files are not writable
        filled = torch.from_numpy(last_known(one.values))
        beside = preprocessing.known(one, 0, len(one) + horizon)
        usual = before.after(filled).usual
        inputs, scale = _read(filled, usual, true.isnan(), beside[: len(one)], preprocessing.window)
        numbers = zip(_NUMBERS, (true, filled, scale.level, scale.scale, usual), strict=True)
        rows.append(
            **{name: torch.cat((of_steps, to_come)).numpy() for name, of_steps in numbers},
            inputs=torch.cat((inputs, inputs.new_zeros(horizon, inputs.shape[1]))).numpy(),
            known=beside.float().numpy(),
        )
    return rows.finish()


def _read(filled: Tensor, usual: Tensor, missing: Tensor, known: Tensor, window: int) -> tuple[Tensor, Scale]:
    before = filled.new_full((window - 1,), NAN)
    windows = torch.cat((before, filled)).unfold(0, window, 1)
    parts = [
        step_features(*(part[start : start + _ROWS] for part in (windows, usual, missing, known)))
        for start in range(0, len(filled), _ROWS)
    ]
    levels, scales = ([scale[of] for _, scale in parts] for of in (0, 1))
    return torch.cat([inputs for inputs, _ in parts]), Scale(torch.cat(levels), torch.cat(scales))
