"""Forecasters as programs: raw values in, raw forecasts out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gatewise.models.decoder import as_state, state_tensors
from gatewise.tasks.exports.program import Input, Program, chosen, lengths
from gatewise.tasks.exports.streams import Stream
from gatewise.tasks.forecasting.sampling import Predictor
from gatewise.tasks.forecasting.scaling import Changes, step_features
from gatewise.tasks.forecasting.stepping import NAN, History, forecast, read_step


class _Covariates:
    """What is known of steps beside their values: the calendar, covariates that are numbers, categories."""

    def __init__(self, predictor: Predictor) -> None:
        self._preprocessing, self._horizon = predictor.preprocessing, predictor.model.horizon
        self._categories = predictor.model.categories

    def inputs(self, sizes: tuple[str, ...]) -> tuple[Input, ...]:
        """The inputs about steps that are read."""
        waves = 2 * len(self._preprocessing.cycles)
        return *((Input("calendar", (*sizes, waves)),) if waves else ()), *self._inputs("", sizes)

    def future_inputs(self) -> tuple[Input, ...]:
        """The inputs about the steps to come."""
        return self._inputs("future_", ("rows", self._horizon))

    def _inputs(self, prefix: str, sizes: tuple[str | int, ...]) -> tuple[Input, ...]:
        width, categories = self._preprocessing.covariates.width, self._categories
        numbers = (Input(f"{prefix}covariates", (*sizes, width), dtype=torch.float64),) if width else ()
        return (
            numbers if categories is None else (*numbers, chosen(f"{prefix}categories", sizes, categories.categories))
        )

    def known(self, tensors: Sequence[Tensor]) -> Tensor:
        """Inputs of steps side by side, (…, J) float64, with covariates scaled; the others may be anything."""
        scaling, parts = self._preprocessing.covariates, list(tensors)
        if scaling.width:
            index = len(parts) - 1 - (self._categories is not None)
            parts[index] = scaling.of(parts[index])
        return torch.cat([one.double() for one in parts], -1)


class _Forecasts(nn.Module):
    """The forecasts of the steps after the end of each row."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.model = predictor.model
        self.predictor, self.covariates = predictor, _Covariates(predictor)
        self.count = len(self.covariates.inputs(()))

    def forward(self, *tensors: Tensor) -> Tensor:
        values, beside = tensors[0], tensors[1 : 1 + self.count]
        counts, *future = tensors[1 + self.count :]
        predictor, window = self.predictor, self.predictor.preprocessing.window
        steps, rows = values.shape
        filled = _filled(values)
        usual = Changes().after(filled).usual
        # Together, so that the sizes of all inputs are seen to be the same.
        known = self.covariates.known([values.isnan()[..., None], *beside]).flatten(0, 1)
        windows = _windows(filled, torch.arange(steps)[:, None].expand(steps, rows), window).flatten(0, 1)
        features, _ = step_features(windows, usual.flatten(), known[:, 0], known[:, 1:])
        x = features.unflatten(0, (steps, rows)).to(self.model.blend.dtype)
        hidden, _ = self.model.read(x, counts)
        last = (counts - 1)[None]
        ends = hidden.gather(0, last[..., None].expand(1, rows, hidden.shape[2]))[0]
        buffer = _windows(filled, last, predictor.buffer_width)[0]
        return forecast(predictor, ends, buffer, usual.gather(0, last)[0], _future(self.covariates, future, ends))


class _ForecastStream(Stream):
    """The forecasts after one more step."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__(predictor.model, predictor.model.encoder.recurrent)
        self.predictor, self.covariates = predictor, _Covariates(predictor)
        self.count = len(self.covariates.inputs(()))

    @property
    def state_inputs(self) -> tuple[Input, ...]:
        seen = [Input(name, ("rows",), dtype=torch.float64) for name in ("change_logs", "change_counts")]
        buffer = Input("last_values", ("rows", self.predictor.buffer_width), dtype=torch.float64)
        return buffer, *seen, *super().state_inputs

    @property
    def state_outputs(self) -> list[str]:
        return ["new_last_values", "new_change_logs", "new_change_counts", *super().state_outputs]

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        count = len(self.sizes)
        *given, buffer, logs, seen = tensors[:-count]
        values, beside, future = given[0], given[1 : 1 + self.count], given[1 + self.count :]
        past = History(buffer, Changes(logs, seen), as_state(tensors[-count:]))
        known = self.covariates.known([values.new_zeros(values.shape[0], 0), *beside])
        hidden, past = read_step(self.predictor, past, values, known)
        assert past.state is not None
        found = forecast(
            self.predictor, hidden, past.buffer, past.changes.usual, _future(self.covariates, future, hidden)
        )
        return found, past.buffer, *past.changes, *state_tensors(past.state)


def _future(covariates: _Covariates, tensors: Sequence[Tensor], hidden: Tensor) -> Tensor:
    return covariates.known(tensors) if tensors else hidden.new_zeros(hidden.shape[0], 0, 0)


def _filled(values: Tensor) -> Tensor:
    """Values (T, B) float64 with the last one before in place of those that are missing."""
    there = ~values.isnan()
    rank = there.long().cumsum(0)
    steps = torch.arange(values.shape[0])[:, None].expand_as(rank)
    # The step of each value by its rank, from 1; the steps without one are written to rank 0, and so are NaN before it.
    of_rank = rank.new_zeros(values.shape[0] + 1, values.shape[1]).scatter(0, rank.where(there, 0), steps)
    return values.gather(0, of_rank.gather(0, rank))


def _windows(values: Tensor, ends: Tensor, width: int) -> Tensor:
    """The values of (T, B) up to the steps (S, B), (S, B, width); NaN before the first."""
    steps, rows = ends.shape
    steps_before = ends[..., None] - torch.arange(width - 1, -1, -1)
    found = values.gather(0, steps_before.clamp(min=0).transpose(1, 2).reshape(steps * width, rows))
    return found.unflatten(0, (steps, width)).transpose(1, 2).where(steps_before >= 0, NAN)


def forecast_program(predictor: Predictor, *, streaming: bool) -> Program:
    """A program of the forecasts of a network."""
    if not streaming:
        module = _Forecasts(predictor)
        given = (
            Input("values", ("steps", "rows"), dtype=torch.float64),
            *module.covariates.inputs(("steps", "rows")),
            lengths(),
            *module.covariates.future_inputs(),
        )
        return Program(module, given, ("forecasts",))
    stream = _ForecastStream(predictor)
    given = (
        Input("values", ("rows",), dtype=torch.float64),
        *stream.covariates.inputs(("rows",)),
        *stream.covariates.future_inputs(),
        *stream.state_inputs,
    )
    return Program(stream, given, ("forecasts", *stream.state_outputs))
