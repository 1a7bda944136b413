"""pytorch-forecasting: DeepAR, RecurrentNetwork and TemporalFusionTransformer with our layers.

    pip install pytorch-forecasting
    python examples/other_libraries/pytorch_forecasting_models.py

Its models call `layer(x, state, lengths=…, enforce_sorted=False)`, as ours are called; rows of length 0 keep their
state. `gatewise train forecast` trains a forecaster of gatewise itself.
"""

import copy
from collections.abc import Callable

import numpy as np
import pandas
import torch
from pytorch_forecasting import GRU, LSTM, DeepAR, TimeSeriesDataSet
from torch import Tensor, nn

import gatewise


class _Sampled:
    """What DeepAR needs besides, to sample paths: the state of each row n times."""

    def repeat_interleave(self, state: Tensor | tuple[Tensor, ...], n: int) -> Tensor | tuple[Tensor, ...]:
        """States (L, B, H) as (L, B·n, H)."""
        if isinstance(state, Tensor):
            return state.repeat_interleave(n, 1)
        return tuple(one.repeat_interleave(n, 1) for one in state)


class SampledLSTM(_Sampled, gatewise.LSTM):
    """An LSTM for DeepAR."""


class SampledGRU(_Sampled, gatewise.GRU):
    """A GRU for DeepAR."""


def with_our_layers(model: nn.Module) -> nn.Module:
    """A model of pytorch-forecasting with its LSTMs and GRUs replaced by ours, in place; the parameters move."""
    for path, theirs in list(model.named_modules()):
        if isinstance(theirs, LSTM | GRU):
            ours = (SampledLSTM if isinstance(theirs, LSTM) else SampledGRU)(
                theirs.input_size,
                theirs.hidden_size,
                theirs.num_layers,
                batch_first=theirs.batch_first,
                dropout=theirs.dropout,
            )
            for name, parameter in theirs.named_parameters():
                setattr(ours, name, parameter)
            model.set_submodule(path, ours)
    return model


def sines(series: int, steps: int, encoder: int, decoder: int) -> TimeSeriesDataSet:
    """Noisy sines of different phases, with histories of different lengths."""
    random = np.random.default_rng(0)
    t = np.tile(np.arange(steps), series)
    name = np.repeat(np.arange(series), steps)
    value = np.sin(t / 5 + name) + 0.1 * random.standard_normal(len(t))
    table = pandas.DataFrame({"t": t, "series": name.astype(str), "value": value.astype(np.float32)})
    return TimeSeriesDataSet(
        table,
        time_idx="t",
        target="value",
        group_ids=["series"],
        time_varying_unknown_reals=["value"],
        min_encoder_length=encoder // 2,
        max_encoder_length=encoder,
        min_prediction_length=decoder,
        max_prediction_length=decoder,
        randomize_length=True,
    )


def deepar(data: TimeSeriesDataSet, hidden_size: int, layers: int = 2, cell: str = "LSTM") -> DeepAR:
    """A DeepAR of pytorch-forecasting."""
    return DeepAR.from_dataset(data, cell_type=cell, hidden_size=hidden_size, rnn_layers=layers, dropout=0.0)


def cases(
    rows: int = 64, encoder: int = 96, decoder: int = 24, hidden: int = 128
) -> dict[str, tuple[Callable[[], list[Tensor]], Callable[[], list[Tensor]]]]:
    """By what is computed, the library's own way and ours; both return outputs and gradients of the same weights."""
    torch.manual_seed(0)
    data = sines(8, 2 * (encoder + decoder), encoder, decoder)
    x, _ = next(iter(data.to_dataloader(train=True, batch_size=rows, num_workers=0)))
    found = {}
    for cell in ("LSTM", "GRU"):
        theirs = deepar(data, hidden, cell=cell)
        ours = with_our_layers(copy.deepcopy(theirs))

        def update(model: nn.Module) -> list[Tensor]:
            output = model(x)["prediction"]
            parameters = [one for one in model.parameters() if one.requires_grad]
            gradients = torch.autograd.grad(output.square().mean(), parameters, allow_unused=True)
            return [output.detach(), *(one for one in gradients if one is not None)]

        shape = f"{rows} rows, histories of {encoder // 2} to {encoder} steps, {hidden} units, 2 layers"
        found[f"DeepAR with {cell}, forward and backward: {shape}"] = (
            lambda theirs=theirs: update(theirs),
            lambda ours=ours: update(ours),
        )
    return found


if __name__ == "__main__":
    import lightning

    data = sines(8, 200, 48, 12)
    model = with_our_layers(deepar(data, hidden_size=32))
    loader = data.to_dataloader(train=True, batch_size=64, num_workers=0)
    trainer = lightning.Trainer(max_epochs=3, enable_checkpointing=False, logger=False, enable_progress_bar=False)
    trainer.fit(model, loader)
    forecast = model.predict(data.to_dataloader(train=False, batch_size=64, num_workers=0), n_samples=20)
    print(model.rnn, forecast.shape)
