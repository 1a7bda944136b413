"""The scale of a forecast: that of the window before it. What lies after it has no part in it."""

from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.data.scaling import ROUNDING

# Of the usual change of the series: a window that hardly moves is scaled by this much.
_MIN_OF_USUAL = 1e-3
# Of the level: the scale of a series that has never changed.
_NEVER_CHANGED = 1e-4
# Near the least number of float64: what is divided by a smaller one would not be finite.
_SMALLEST = 1e-290
# Mean absolute distances from the median: what lies further off counts as if it lay there.
_OUTLYING = 5.0


class Scale(NamedTuple):
    """Levels (N,) and scales (N,) of windows, float64."""

    level: Tensor
    scale: Tensor

    def scaled(self, values: Tensor) -> Tensor:
        """Values (N, …) in units of their windows."""
        return (values - _broadcastable(self.level, values)) / _broadcastable(self.scale, values)

    def unscaled(self, values: Tensor) -> Tensor:
        """What `scaled` values (N, …) stand for, float64."""
        return values.double() * _broadcastable(self.scale, values) + _broadcastable(self.level, values)


class Changes(NamedTuple):
    """What has been seen of the size of a series' changes from one step to the next.

    Their geometric mean is kept, so neither one outlier nor its distance matters, nor the unit of the series.

    Attributes:
        logs: (…) float64, the sum of the logarithms of those that are more than rounding.
        seen: (…) how many they are.
    """

    logs: Tensor = torch.zeros((), dtype=torch.float64, device="cpu")
    seen: Tensor = torch.zeros((), dtype=torch.float64, device="cpu")

    def after(self, values: Tensor) -> "Changes":
        """What has been seen at each of the steps (n, …) that follow, float64; the first has no change yet.

        Where there were steps before, `values` begins with the last of them.
        """
        before = values[(torch.arange(values.shape[0]) - 1).clamp(min=0)]
        sizes = (values - before).abs()
        real = sizes > ROUNDING * values.abs().maximum(before.abs())
        logs = sizes.where(real, 1).log()
        return Changes(self.logs + logs.cumsum(0), self.seen + real.cumsum(0))

    @property
    def usual(self) -> Tensor:
        """The size of a usual change; 0 where there was none.

        >>> Changes().after(torch.tensor([3.0, 4.0, 4.0, 0.0], dtype=torch.float64)).usual.tolist()
        [0.0, 1.0, 1.0, 2.0]
        """
        return (self.logs / self.seen.clamp(min=1)).exp().where(self.seen > 0, 0)


def scale_of(windows: Tensor, usual: Tensor) -> Scale:
    """Mean and standard deviation of windows, outliers drawn in.

    A window that does not change has the scale of a usual change of its series.

    Args:
        windows: (N, W) float64, the present last; NaN where there was nothing yet.
        usual: (N,) float64, the size of a usual change of the series up to the present, see `Changes`.

    >>> one_window = torch.tensor([[float("nan"), 1.0, 3.0]], dtype=torch.float64)
    >>> level, scale = scale_of(one_window, torch.tensor([2.0]))
    >>> float(level), float(scale)
    (2.0, 1.0)
    """
    there = ~windows.isnan()
    count = there.sum(-1)
    middle = windows.nanmedian(-1).values[:, None]
    most = _OUTLYING * (windows - middle).where(there, 0).abs().sum(-1, keepdim=True) / count[:, None]
    off = (windows - middle).where(there, 0).clamp(-most, most)
    mean = off.sum(-1) / count
    from_mean = (off - mean[:, None]).where(there, 0)
    widest = from_mean.abs().amax(-1)  # squares of very small or large numbers are not finite, those of ratios are
    ratios = from_mean / widest.where(widest > 0, 1)[:, None]
    deviation = widest * (ratios.square().sum(-1) / count).sqrt()
    largest = (middle + off).where(there, 0).abs().amax(-1)
    changes = deviation > ROUNDING * largest
    scale = deviation.maximum(_MIN_OF_USUAL * usual).where(changes, usual)
    scale = scale.where(scale > 0, _NEVER_CHANGED * largest)
    level = middle[:, 0] + mean
    return Scale(level, scale.where(scale > _SMALLEST, 1))


def step_features(windows: Tensor, usual: Tensor, missing: Tensor, more: Tensor) -> tuple[Tensor, Scale]:
    """What the network reads at a step.

    Args:
        windows: (N, W) float64, the values up to the step; what was missing holds the value before it.
        usual: (N,) float64, see `scale_of`.
        missing: (N,) bool, whether the step's own value was.
        more: (N, J) what else is known of the step.

    Returns:
        (N, 3 + J) float32: the value and its change, scaled; whether it was missing; what else is known. And the scale.
    """
    found = scale_of(windows, usual)
    now, before = windows[:, -1], windows[:, -2]
    change = (now - before).where(~before.isnan(), 0) / found.scale
    of_value = torch.stack((_softened(found.scaled(now)), _softened(change), missing.to(windows)), 1)
    return torch.cat((of_value, more), 1).float(), found


def _softened(values: Tensor) -> Tensor:
    """Nearly the same below 3, and far less beyond: an outlier is seen, and does not blind."""
    return 3 * (values / 3).asinh()


def lags(horizon: int, season: int) -> list[int]:
    """How many steps before the present those stand that `references` needs: the season's steps, the last of each."""
    return [0, season, *(season - 1 - step % season for step in range(horizon))]


def references(lagged: Tensor, scale: Scale, season: int) -> Tensor:
    """The last values before the steps to come, scaled.

    Args:
        lagged: (N, 2 + K) float64, the values at `lags`, NaN where there was nothing yet.
        scale: of the windows.
        season: the steps of a season; 1 for none.

    Returns:
        (N, 2) float32, the last value and its change over a season; with a season (N, 2 + K), for each step to come the
        value of the last such step of a season.
    """
    now, then, seasonal = lagged[:, :1], lagged[:, 1:2], lagged[:, 2:]
    change = ((now - then) / scale.scale[:, None]).where(~then.isnan(), 0)
    parts = [scale.scaled(now), change]
    if season > 1:
        parts.append(scale.scaled(seasonal.where(~seasonal.isnan(), now)))
    return torch.cat(parts, 1).float()


SHARED_REFERENCES = 2
"""Those that are the same for all steps to come."""


def _broadcastable(numbers: Tensor, values: Tensor) -> Tensor:
    return numbers.reshape(-1, *[1] * (values.dim() - 1))
