"""Forecasters as programs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gatewise.layers.validation import State
from gatewise.models.forecaster import Forecaster
from gatewise.tasks.exports.program import Input, Program, chosen, embedded_width, lengths
from gatewise.tasks.exports.streams import Stream


class _Network(nn.Module):
    """The network's inputs put together; categories are tensors of integers of their own."""

    def __init__(self, model: Forecaster) -> None:
        super().__init__()
        self.model = model
        embedded = embedded_width(model.categories)
        # Of a step, and of a step to come.
        self.numbers = model.encoder.recurrent.input_size - embedded
        self.covariates = 0 if model.future is None else model.future.of_future.in_features - embedded

    def inputs(self, sizes: tuple[str, ...]) -> tuple[Input, ...]:
        """The inputs of steps."""
        return self._parts("", sizes, self.numbers)

    def targets(self) -> tuple[Input, ...]:
        """The inputs about the steps to come."""
        model = self.model
        count = len(model.blend) - model.seasonal + model.horizon * model.seasonal
        references = Input("references", ("rows", count))
        if model.future is None:
            return (references,)
        return references, *self._parts("future_", ("rows", model.horizon), self.covariates)

    def _parts(self, prefix: str, sizes: tuple[str | int, ...], numbers: int) -> tuple[Input, ...]:
        found = (Input(f"{prefix}inputs", (*sizes, numbers)),) if numbers else ()
        categories = self.model.categories
        return found if categories is None else (*found, chosen(f"{prefix}categories", sizes, categories.categories))

    def joined(self, tensors: Sequence[Tensor]) -> Tensor:
        """Numbers and categories as the model reads them."""
        dtype = self.model.blend.dtype
        return torch.cat([one.to(dtype) for one in tensors], -1)

    def decoded(self, hidden: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        """The predictions (N, K, Q) for hidden states (N, H)."""
        references, *future = tensors
        return self.model.decode(hidden, references, self.joined(future) if future else None)


class _Forecasts(nn.Module):
    """The predictions of the steps after the end of each row."""

    def __init__(self, network: _Network) -> None:
        super().__init__()
        self.network = network
        self.count = len(network.inputs(()))

    def forward(self, *tensors: Tensor) -> Tensor:
        x, counts = self.network.joined(tensors[: self.count]), tensors[self.count]
        hidden, _ = self.network.model.read(x, counts)
        last = (counts - 1)[None, :, None].expand(1, -1, hidden.shape[2])
        return self.network.decoded(hidden.gather(0, last)[0], tensors[self.count + 1 :])


class _ForecastStream(Stream):
    """The predictions after one more step."""

    model: _Network

    def step(self, inputs: Sequence[Tensor], state: State) -> tuple[Tensor, State]:
        count = len(self.model.inputs(()))
        hidden, state = self.model.model.step(self.model.joined(inputs[:count]), state)
        return self.model.decoded(hidden, inputs[count:]), state


def forecast_program(model: Forecaster, *, streaming: bool) -> Program:
    """A program of what the network computes of scaled values."""
    network = _Network(model)
    if not streaming:
        given = (*network.inputs(("steps", "rows")), lengths(), *network.targets())
        return Program(_Forecasts(network), given, ("predictions",))
    stream = _ForecastStream(network, model.encoder.recurrent)
    given = (*network.inputs(("rows",)), *network.targets(), *stream.state_inputs)
    return Program(stream, given, ("predictions", *stream.state_outputs))
