"""Layers for a node's directions: one layer for both where they have the same cell."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatewise.equations import Cell
from gatewise.layers import GRU, LSTM, RNN, PeepholeLSTM, Recurrent

_CLASSES: dict[str, Any] = {
    "rnn_tanh": RNN,
    "rnn_relu": partial(RNN, nonlinearity="relu"),
    "rnn_sigmoid": partial(RNN, nonlinearity="sigmoid"),
    "rnn_leaky_relu": partial(RNN, nonlinearity="leaky_relu"),
    "gru_cho2014": partial(GRU, variant="cho2014"),
    "gru_cudnn": GRU,
    "lstm": LSTM,
    "peephole_lstm": PeepholeLSTM,
}


def layer_of(cell: Cell, input_size: int, hidden_size: int, dtype: torch.dtype, **options: Any) -> Recurrent:
    """A layer of a cell, of the class named after it if there is one, with uninitialised weights."""
    make = _CLASSES.get(cell.name) or partial(Recurrent, cell)
    # On the meta device initial weights cost nothing and leave the random number generator as it is.
    return make(input_size, hidden_size, init="torch", device="meta", dtype=dtype, **options).to_empty(device="cpu")


class BidirectionalPair(nn.Module):
    """A bidirectional layer whose directions have different cells; its interface is that of `gatewise.Recurrent`.

    Args:
        forward_layer: the layer that reads from the beginning.
        reverse_layer: the one that reads from the end, with ``reverse=True``.

    Attributes:
        forward_layer, reverse_layer: both layers.
    """

    bidirectional = True
    num_layers = 1

    def __init__(self, forward_layer: Recurrent, reverse_layer: Recurrent) -> None:
        super().__init__()
        self.forward_layer, self.reverse_layer = forward_layer, reverse_layer
        self.input_size, self.hidden_size = forward_layer.input_size, forward_layer.hidden_size
        self.batch_first = forward_layer.batch_first

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | Sequence[Tensor] | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Any, Any]:
        """Run both directions over sequences; see `gatewise.Recurrent.forward`.

        Returns:
            The concatenated outputs, (T, B, 2·H), and the final states, (2, B, H) each.
        """
        of_directions = [_rows(hx, index) for index in range(2)]
        layers = (self.forward_layer, self.reverse_layer)
        (output, state), (reverse_output, reverse_state) = (
            layer(input, initial, lengths=lengths, reset=reset, mask=mask)
            for layer, initial in zip(layers, of_directions, strict=True)
        )
        if isinstance(output, PackedSequence):
            output = output._replace(data=torch.cat([output.data, reverse_output.data], dim=-1))
        else:
            output = torch.cat([output, reverse_output], dim=-1)
        if isinstance(state, Tensor):
            return output, torch.cat([state, reverse_state])
        return output, tuple(torch.cat(both) for both in zip(state, reverse_state, strict=True))


def _rows(hx: Tensor | Sequence[Tensor] | None, index: int) -> Any:
    """The rows of one direction of an initial state."""
    if hx is None or isinstance(hx, Tensor):
        return hx if hx is None else hx[index : index + 1]
    return tuple(state[index : index + 1] for state in hx)
