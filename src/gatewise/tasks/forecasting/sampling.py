"""Forecasts one step at a time: each predicted step is read as if it had been observed."""

from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.layers.validation import State
from gatewise.models.forecaster import Forecaster
from gatewise.progress import Progress
from gatewise.tasks.forecasting.calibration import Calibration
from gatewise.tasks.forecasting.outputs import Distribution, Output, Point
from gatewise.tasks.forecasting.preprocessing import Preprocessing
from gatewise.tasks.forecasting.scaling import lags, references, scale_of, step_features

# Sample paths that a forecast of distributions is read off, and how many rows run at once.
_PATHS, _MAX_ROWS = 100, 32_768


class Predictor(NamedTuple):
    """A trained model and how its forecasts are read off it.

    Attributes:
        model: in evaluation mode.
        output: what its numbers mean.
        preprocessing: how series are read.
        levels: of the predicted quantiles.
        recursive: whether steps are predicted one by one, each from those before.
        calibration: what moves the quantiles, if anything.
    """

    model: Forecaster
    output: Output
    preprocessing: Preprocessing
    levels: tuple[float, ...]
    recursive: bool
    calibration: Calibration | None = None

    @property
    def buffer_width(self) -> int:
        """How many values before a forecast it needs."""
        return max(self.preprocessing.window, self.preprocessing.season + 1)


def path_count(output: Output) -> int:
    """The number of sample paths of a forecast; one where nothing is drawn."""
    return 1 if isinstance(output, Point) else _PATHS


def noise_of_half(paths: int, horizon: int) -> Tensor:
    """The noise (P // 2 + 1, K) of the first half of the paths; the others have its negative, row by row."""
    return torch.randn(paths // 2 + 1, horizon, generator=torch.Generator().manual_seed(0))


def sample_quantiles(
    predictor: Predictor, hidden: Tensor, state: State, buffer: Tensor, usual: Tensor, known: Tensor
) -> Tensor:
    """Quantiles of the K steps after N places, from sample paths that continue from there.

    The noise of the paths is drawn once, the same for every place, so the same history has the same forecast.

    Args:
        predictor: whose model predicts one step.
        hidden: (N, H), the hidden states at the places.
        state: the states there, each (L, N, H).
        buffer: (N, `Predictor.buffer_width`) float64, the values up to there, NaN where there was nothing yet.
        usual: (N,) float64, the size of a usual change of the series up to there.
        known: (N, K, J), what is known of the steps to come beside their values.

    Returns:
        (N, K, levels) float64.
    """
    paths = path_count(predictor.output)
    noise = noise_of_half(paths, predictor.preprocessing.horizon)
    noise = torch.cat((noise, -noise))[:paths]  # as many above as below
    size = max(1, _MAX_ROWS // paths)
    found: list[Tensor] = []
    groups = range(0, len(hidden), size)
    with Progress("drawing sample paths", "steps", len(groups) * predictor.preprocessing.horizon) as progress:
        for start in groups:
            some = slice(start, start + size)
            rows = torch.arange(start, min(start + size, len(hidden))).repeat_interleave(paths)
            states = [one[:, rows].contiguous() for one in ((state,) if isinstance(state, Tensor) else state)]
            count = len(rows) // paths
            predicted = _sample_path(
                predictor,
                hidden[rows],
                states[0] if isinstance(state, Tensor) else tuple(states),
                buffer[rows],
                usual[rows],
                known[some].repeat_interleave(paths, 0),
                noise.repeat(count, 1),
                progress,
            ).unflatten(0, (count, paths))
            at_levels = torch.tensor(predictor.levels, dtype=torch.float64)
            found.append(torch.quantile(predicted, at_levels, dim=1).permute(1, 2, 0))
    return torch.cat(found)


def _sample_path(
    predictor: Predictor,
    hidden: Tensor,
    state: State,
    buffer: Tensor,
    usual: Tensor,
    known: Tensor,
    noise: Tensor,
    progress: Progress,
) -> Tensor:
    """One sample path of K steps for each row, (N, K) float64."""
    model, output, preprocessing = predictor.model, predictor.output, predictor.preprocessing
    assert isinstance(output, Distribution)  # the options see to it
    back = torch.tensor(lags(1, preprocessing.season)) + 1
    width = preprocessing.future_size
    present = torch.zeros(len(hidden), dtype=torch.bool)
    path: list[Tensor] = []
    for step in range(preprocessing.horizon):
        scale = scale_of(buffer[:, -preprocessing.window :], usual)
        given = references(buffer[:, -back], scale, preprocessing.season)
        at_step = known[:, step]
        predicted = model.decode(hidden, given.to(hidden), at_step[:, None, at_step.shape[1] - width :].to(hidden))[
            :, 0
        ]
        value = scale.unscaled(output.drawn(predicted, noise[:, step].to(predicted)))
        path.append(value)
        progress.advance(len(value))
        buffer = torch.cat((buffer[:, 1:], value[:, None]), 1)
        if step + 1 < preprocessing.horizon:
            features, _ = step_features(buffer[:, -preprocessing.window :], usual, present, at_step)
            hidden, state = model.step(features.to(hidden), state)
    return torch.stack(path, 1)
