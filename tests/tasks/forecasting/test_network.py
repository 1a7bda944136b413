"""The network and its loss."""

import numpy as np
import pytest
import torch

from gatewise.data.batches import Batch
from gatewise.tasks.forecasting.batches import Span, SpanBatches
from gatewise.tasks.forecasting.network import begin_as_linear, make_model, output_for, predictions_at, statistics_of
from gatewise.tasks.forecasting.options import ForecastOptions
from gatewise.tasks.forecasting.outputs import pinball
from tests.tasks.forecasting.test_scores import panel

OUTPUTS = ["point", "quantile", "gaussian"]


def parts(name, data, **changes):
    options = ForecastOptions(output=name, hidden=4, dropout=0.0, **changes)
    return make_model(options, data.preprocessing), output_for(options)


def waves(length):
    return [float(value) for value in np.sin(np.arange(length)) + 0.01 * np.arange(length)]


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_is_missing_has_no_part_in_the_loss_nor_in_its_gradient(name):
    data = panel(waves(20))
    model, output = parts(name, data)
    batch = SpanBatches(data, [Span(0, 0, 4, 15)], 1).batch_of([0])[0]
    holes = torch.zeros(batch.targets.shape, dtype=torch.bool)
    holes[::3, 1] = True
    missing = batch._replace(targets=batch.targets.masked_fill(holes, float("nan")))
    found = statistics_of(model, output)(missing)
    message = predictions_at(model, batch)
    assert found.predictions == found.denominator == (~holes).sum()
    expected = output.loss(message, batch.targets)[~holes].sum()
    assert float(found.loss_sum.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert found.numerator == pytest.approx(
        float((output.centre(message.detach()) - batch.targets)[~holes].abs().sum()), rel=1e-6
    )
    gradients = [
        torch.autograd.grad(one, list(model.parameters()), allow_unused=True) for one in (found.loss_sum, expected)
    ]
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, atol=1e-5)


def test_the_quantiles_lose_what_pinball_says():
    output = output_for(ForecastOptions(quantiles=(0.1, 0.5, 0.9)))
    message, truth = torch.randn(7, 3, 3), torch.randn(7, 3)
    assert torch.allclose(output.loss(message, truth), 2 * pinball(message, truth, (0.1, 0.5, 0.9)).mean(-1))
    assert output_for(ForecastOptions(output="point")).loss(message, truth).equal((message[..., 0] - truth).abs())
    crossed = output.quantiles(torch.tensor([3.0, 1.0, 2.0]), (0.1, 0.5, 0.9))
    assert crossed.tolist() == [1.0, 2.0, 3.0]


def test_a_normal_distribution_loses_its_likelihood():
    output = output_for(ForecastOptions(output="gaussian"))
    message, truth = torch.randn(7, 3, 2), torch.randn(7, 3)
    low, middle, high = output.quantiles(message, (0.1586552539, 0.5, 0.8413447461)).unbind(-1)
    normal = torch.distributions.Normal(middle, (high - low) / 2)
    constant = 0.5 * np.log(2 * np.pi)
    assert torch.allclose(output.loss(message, truth), -normal.log_prob(truth) - constant, atol=1e-4)


@pytest.mark.parametrize("name", OUTPUTS)
def test_it_begins_as_the_best_weighted_sum_of_what_is_near_at_hand(name):
    # Each step is as that a season before, and the change over that season again: no error is left.
    data = panel([float(step) for step in range(40)])
    model, output = parts(name, data)
    batches = SpanBatches(data, [Span(0, 0, 6, 36)], 1)
    begin_as_linear(model, output, data, torch.tensor([[0, 0, 6, 36]]))
    batch: Batch = next(iter(batches))
    off = (output.centre(predictions_at(model, batch)) - batch.targets).abs()
    steps = torch.arange(6, 37)
    naive = (data.seasonal_naive(steps) - data.to_come(steps)).abs()
    assert float(off.detach().max()) < 0.1 < float(naive.max())


def test_nothing_to_learn_leaves_the_seasonal_naive_forecast():
    data = panel([5.0] * 20)
    model, output = parts("quantile", data)
    begin_as_linear(model, output, data, torch.tensor([[0, 0, 4, 15]]))
    assert model.blend.tolist() == [pytest.approx([0.0] * 3), pytest.approx([0.0] * 3), pytest.approx([1.0] * 3)]
