"""Raw values in, raw forecasts out: what a network reads of a step, and what it predicts from there."""

from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.layers.validation import State
from gatewise.tasks.forecasting.sampling import Predictor
from gatewise.tasks.forecasting.scaling import Changes, lags, references, scale_of, step_features

NAN = float("nan")


class History(NamedTuple):
    """What is kept of N series that have been read so far.

    Attributes:
        buffer: (N, `Predictor.buffer_width`) float64, the last values; NaN where there was nothing yet.
        changes: what has been seen of the size of their changes, (N,) each.
        state: of the network, (L, N, H) each; None for zero.
    """

    buffer: Tensor
    changes: Changes
    state: State | None

    @classmethod
    def nothing(cls, predictor: Predictor, count: int) -> "History":
        """That of series of which nothing was read yet."""
        buffer = torch.full((count, predictor.buffer_width), NAN, dtype=torch.float64)
        return cls(buffer, Changes(*torch.zeros(2, count, dtype=torch.float64)), None)


def read_step(predictor: Predictor, past: History, values: Tensor, known: Tensor) -> tuple[Tensor, History]:
    """Read one more step of N series.

    Args:
        predictor: whose network reads.
        past: what was read before.
        values: (N,) float64; NaN where they are missing, which the first of a series is not.
        known: (N, J), what else is known of the step.

    Returns:
        The hidden states (N, H), and what is kept.
    """
    missing, last = values.isnan(), past.buffer[:, -1]
    filled = last.where(missing, values)
    logs, seen = past.changes.after(torch.stack((last, filled)))
    changes = Changes(logs[-1], seen[-1])
    buffer = torch.cat((past.buffer[:, 1:], filled[:, None]), 1)
    window = buffer[:, -predictor.preprocessing.window :]
    features, _ = step_features(window, changes.usual, missing, known)
    hidden, state = predictor.model.step(features.to(predictor.model.blend), past.state)
    return hidden, History(buffer, changes, state)


def forecast(predictor: Predictor, hidden: Tensor, buffer: Tensor, usual: Tensor, future: Tensor) -> Tensor:
    """The quantiles of the steps to come that a network predicts at once: K, or the first where it samples paths.

    Args:
        predictor: what forecasts.
        hidden: (N, H).
        buffer: (N, `Predictor.buffer_width`) float64, see `History`.
        usual: (N,) float64, the size of a usual change.
        future: (N, K, F), the covariates of these steps.

    Returns:
        (N, K, levels) float64.
    """
    model, output, preprocessing, levels, _, calibration = predictor
    scale = scale_of(buffer[:, -preprocessing.window :], usual)
    back = torch.tensor(lags(model.horizon, preprocessing.season)) + 1
    given = references(buffer[:, -back], scale, preprocessing.season)
    predicted = model.decode(hidden, given.to(hidden), future.to(hidden))
    found = scale.unscaled(output.quantiles(predicted, levels))
    return found if calibration is None else calibration.applied(found, scale.scale)
