"""The network of forecasts: made from options, trained on spans, run over whole series."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gatewise.data.batches import Batch
from gatewise.layers.inputs import State
from gatewise.models.encoder import Encoder
from gatewise.models.forecaster import Forecaster
from gatewise.tasks.cells import cell_of
from gatewise.tasks.forecasting.batches import Span, SpanBatches
from gatewise.tasks.forecasting.options import ForecastOptions
from gatewise.tasks.forecasting.outputs import Output, output_of
from gatewise.tasks.forecasting.panel import Panel
from gatewise.tasks.forecasting.recipe import Recipe
from gatewise.tasks.forecasting.scaling import reference_count
from gatewise.tasks.initial_weights import initialised, recurrent_init
from gatewise.tasks.measure import Measure
from gatewise.tasks.outcome import Outcome

# The weight of "as the baseline" beside what the data says, as a share of the number of forecasts.
_RIDGE = 0.01
_MOST_FORECASTS = 50_000


def output_for(options: ForecastOptions) -> Output:
    """What the network tells of a step."""
    assert options.output is not None
    return output_of(options.output, options.quantiles)


MEASURE = Measure("scaled_error", "steps", by_loss=True)
"""How training is reported: the absolute error in units of the window's scale."""


def make_model(options: ForecastOptions, recipe: Recipe) -> Forecaster:
    """The model, with its initial weights; of recursive forecasts it tells one step."""
    encoder = Encoder(
        cell_of(options.cell),
        3 + recipe.known_size,
        options.hidden,
        options.layers,
        dropout=options.dropout,
        init=recurrent_init(options),
    )
    output = output_for(options)
    model = Forecaster(
        encoder,
        horizon=1 if options.strategy == "recursive" else recipe.horizon,
        references=reference_count(recipe.season),
        outputs=output.size,
        located=output.located,
        future_size=recipe.covariates.width,
    )
    return initialised(model, options)


def fit_blend(model: Forecaster, panel: Panel, spans: Sequence[Span]) -> None:
    """Begin with the weights of the references that fit the training data best, in least squares.

    They are drawn towards those of the seasonal naive forecast, and stay there where the data says nothing.
    """
    batches = SpanBatches(panel, [span._replace(begin=span.first) for span in dict.fromkeys(spans)], 64)
    prior = torch.zeros(model.blend.shape[1], dtype=torch.float64)
    prior[-1 if panel.recipe.season > 1 else 0] = 1
    squares = torch.zeros(panel.recipe.horizon, len(prior), len(prior), dtype=torch.float64)
    products = torch.zeros(panel.recipe.horizon, len(prior), dtype=torch.float64)
    seen = 0
    for batch in batches:
        there = ~batch.targets.isnan()
        references = batch.inputs[2].double() * there[..., None]
        squares += torch.einsum("nkr,nks->krs", references, references)
        products += torch.einsum("nkr,nk->kr", references, batch.targets.nan_to_num().double())
        seen += len(there)
        if seen >= _MOST_FORECASTS:
            break
    ridge = _RIDGE * seen + 1e-6
    squares += ridge * torch.eye(len(prior), dtype=torch.float64)
    with torch.no_grad():
        model.blend.copy_(torch.linalg.solve(squares, products + ridge * prior))


def told_at(model: Forecaster, batch: Batch) -> Tensor:
    """The numbers (N, K, Q) of the forecasts of a batch."""
    x, places, references, future = batch.inputs
    hidden, _ = model.read(x, batch.lengths)
    return model.decode(hidden.flatten(0, 1)[places], references, future)


def outcome_of(model: Forecaster, output: Output) -> Callable[[Batch], Outcome]:
    """What comes of a batch: the loss, and the absolute error of the middle."""

    def outcome(batch: Batch) -> Outcome:
        told = told_at(model, batch)
        there = ~batch.targets.isnan()
        told, truth = told[there], batch.targets[there].to(told)
        count = len(truth)
        off = (output.centre(told) - truth).abs().sum()
        return Outcome(output.loss(told, truth).sum(), count, float(off.detach()), count)

    return outcome


def states_at(model: Forecaster, x: Tensor, lengths: Tensor, first: int) -> tuple[Tensor, list[State]]:
    """Hidden states (T − first, B, H) and states after each step from `first` on."""
    state: State | None = None
    if first:
        _, state = model.read(x[:first], lengths.clamp(max=first))
    hidden: list[Tensor] = []
    states: list[State] = []
    for step in x[first:]:
        output, state = model.step(step, state)
        hidden.append(output)
        states.append(state)
    return torch.stack(hidden), states
