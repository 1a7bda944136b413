"""The network of forecasts: made from options, trained on spans, run over whole series."""

from collections.abc import Callable

import torch
from torch import Tensor

from gatewise.data.batches import Batch
from gatewise.layers.validation import State
from gatewise.models.category_embedding import CategoryEmbedding
from gatewise.models.encoder import Encoder
from gatewise.models.forecaster import Forecaster
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.cells import cell_of
from gatewise.tasks.forecasting.batches import SpanBatches
from gatewise.tasks.forecasting.options import ForecastOptions
from gatewise.tasks.forecasting.outputs import Output, output_of
from gatewise.tasks.forecasting.panel import Panel
from gatewise.tasks.forecasting.preprocessing import Preprocessing
from gatewise.tasks.forecasting.scaling import SHARED_REFERENCES
from gatewise.tasks.initial_weights import initialised, recurrent_init, regularisation_of
from gatewise.tasks.measure import Measure

# The weight of "as the baseline" beside what the data says, as a share of the number of forecasts.
_RIDGE = 0.01
_MAX_FORECASTS = 50_000


def output_for(options: ForecastOptions) -> Output:
    """What the network predicts of a step."""
    assert options.output is not None
    return output_of(options.output, options.quantiles)


MEASURE = Measure("scaled_error", "steps", by_loss=True)
"""How training is reported: the absolute error in units of the window's scale."""


def make_model(options: ForecastOptions, preprocessing: Preprocessing) -> Forecaster:
    """The model, with its initial weights; of recursive forecasts it predicts one step."""
    counts = [vocabulary.counts for vocabulary in preprocessing.categories.vocabularies.values()]
    numbers = 3 + preprocessing.known_size - len(counts)
    categories = CategoryEmbedding(numbers, counts, options.category_size) if counts else None
    encoder = Encoder(
        cell_of(options.cell),
        numbers if categories is None else categories.width,
        options.hidden,
        options.layers,
        dropout=options.dropout,
        init=recurrent_init(options),
        regularisation=regularisation_of(options),
    )
    output = output_for(options)
    model = Forecaster(
        encoder,
        horizon=1 if options.strategy == "recursive" else preprocessing.horizon,
        references=SHARED_REFERENCES,
        seasonal=preprocessing.season > 1,
        outputs=output.size,
        located=output.located,
        future_size=preprocessing.covariates.width + (0 if categories is None else categories.width - numbers),
        categories=categories,
    )
    return initialised(model, options)


def begin_as_linear(model: Forecaster, output: Output, panel: Panel, spans: Tensor) -> None:
    """Begin with the weights of the references that fit the training data best, in least squares, and their errors.

    The weights are drawn towards those of the seasonal naive forecast, and stay there where the data says nothing.
    """
    horizon = model.horizon
    references: list[Tensor] = []
    targets: list[Tensor] = []
    for batch in SpanBatches(panel, spans.unique(dim=0), 64, seed=0):
        given = batch.inputs[1].double()
        shared = given[:, None, :SHARED_REFERENCES].expand(-1, horizon, -1)
        references.append(torch.cat((shared, given[:, SHARED_REFERENCES:, None]), 2) if model.seasonal else shared)
        targets.append(batch.targets.double())
        if sum(map(len, targets)) >= _MAX_FORECASTS:
            break
    given, truth = torch.cat(references), torch.cat(targets)
    there = ~truth.isnan()
    count = given.shape[2]
    prior = torch.zeros(count, dtype=torch.float64)
    prior[-1 if model.seasonal else 0] = 1
    masked = given * there[..., None]
    ridge = _RIDGE * len(truth) + 1e-6
    squares = torch.einsum("nkr,nks->krs", masked, masked) + ridge * torch.eye(count, dtype=torch.float64)
    products = torch.einsum("nkr,nk->kr", masked, truth.nan_to_num()) + ridge * prior
    blend = torch.linalg.solve(squares, products)
    errors = truth - (given * blend).sum(2)
    with torch.no_grad():
        model.blend.copy_(blend.T)
        model.read_out.bias.copy_(output.constant(errors).flatten())


def predictions_at(model: Forecaster, batch: Batch, state: State | None = None) -> Tensor:
    """The numbers (N, K, Q) of the forecasts of a batch, whose rows all start from a state (L, 1, H)."""
    x, references, future = (one.to(model.blend.dtype) for one in batch.inputs)
    hidden, _ = model.read(x, batch.lengths, len(x) - len(references) // x.shape[1], in_rows(state, x.shape[1]))
    return model.decode(hidden.flatten(0, 1), references, future)


def in_rows(state: State | None, count: int) -> State | None:
    """A state (L, 1, H) for several rows."""
    if state is None or isinstance(state, Tensor):
        return None if state is None else state.repeat(1, count, 1)
    return tuple(one.repeat(1, count, 1) for one in state)


def statistics_of(model: Forecaster, output: Output, state: State | None = None) -> Callable[[Batch], BatchStatistics]:
    """The result of a batch that starts from a state: the loss, and the absolute error of the middle."""

    def statistics(batch: Batch) -> BatchStatistics:
        predicted = predictions_at(model, batch, state)
        there = ~batch.targets.isnan()
        count = int(there.sum())
        truth = batch.targets.to(predicted)
        if count < truth.numel():
            truth = truth.nan_to_num()
        loss, off = output.loss(predicted, truth), (output.centre(predicted.detach()) - truth).abs()
        if count < truth.numel():
            loss, off = loss * there, off * there
        return BatchStatistics(loss.sum(), count, float(off.sum()), count)

    return statistics
