"""The layers by their usual names, with the arguments of `torch.nn` in its order."""

from typing import Any

import torch

from gatewise.layers.initialisers import Init
from gatewise.layers.recurrent import Recurrent

_RNN_CELLS = {
    "tanh": "rnn_tanh",
    "relu": "rnn_relu",
    "sigmoid": "rnn_sigmoid",
    "leaky_relu": "rnn_leaky_relu",
}
_GRU_CELLS = {"cudnn": "gru_cudnn", "chung2014": "gru_chung2014", "cho2014": "gru_cho2014"}
_PEEPHOLE_CELLS = {"diagonal": "peephole_lstm", "full": "peephole_lstm_full"}


# The names of torch.nn.RNNBase for the cells that it has.
_MODES = {"rnn_tanh": "RNN_TANH", "rnn_relu": "RNN_RELU", "lstm": "LSTM", "gru_cudnn": "GRU"}


def _chosen(cells: dict[str, str], argument: str, value: str) -> str:
    if value not in cells:
        raise ValueError(f"{argument}: expected one of {', '.join(cells)}, got {value!r}")
    return cells[value]


class _LikeTorch(Recurrent):
    """A `Recurrent` with torch's positional order and, unless told otherwise, torch's initial weights."""

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        init: str | Init = "torch",
        **options: Any,
    ) -> None:
        if proj_size != 0:
            raise ValueError(
                f"proj_size: expected 0, got {proj_size}; the states of a projected LSTM have two widths, and a cell "
                "here has one. Use torch.nn.LSTM for it, or put an nn.Linear after the layer"
            )
        super().__init__(
            cell,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            init=init,
            device=device,
            dtype=dtype,
            **options,
        )
        self.proj_size = 0

    @property
    def mode(self) -> str:
        """The name by which `torch.nn` knows the cell, such as ``LSTM`` or ``RNN_TANH``; else the cell's own."""
        return _MODES.get(self.cell.name, self.cell.name)


class RNN(_LikeTorch):
    """Simple recurrent network (Elman 1990), a drop-in for `torch.nn.RNN`: h_t = act(W_xh x_t + W_hh h_{t−1} + b).

    Arguments:
        input_size, hidden_size, num_layers: I, H, L.
        nonlinearity: ``tanh``, ``relu``, ``sigmoid`` or ``leaky_relu``.
        arguments, options: in torch's order bias, batch_first, dropout, bidirectional, proj_size (must be 0), device,
            dtype; and the keywords of `Recurrent`. A seed gives the initial weights of `torch.nn.RNN`.

    >>> import torch, gatewise
    >>> output, h = gatewise.RNN(3, 4, nonlinearity="relu")(torch.randn(7, 2, 3))
    >>> output.shape, h.shape
    (torch.Size([7, 2, 4]), torch.Size([1, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *arguments: Any,
        **options: Any,
    ) -> None:
        cell = _chosen(_RNN_CELLS, "nonlinearity", nonlinearity)
        super().__init__(cell, input_size, hidden_size, num_layers, *arguments, **options)
        self.nonlinearity = nonlinearity


class LSTM(_LikeTorch):
    """Long short-term memory with a forget gate (Gers et al. 2000), a drop-in for `torch.nn.LSTM`.

    Arguments:
        arguments, options: in torch's order input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, proj_size (must be 0), device, dtype; and the keywords of `Recurrent`. A seed gives the
            initial weights of `torch.nn.LSTM`.

    >>> import torch, gatewise
    >>> output, (h, c) = gatewise.LSTM(3, 4, num_layers=2)(torch.randn(7, 2, 3))
    >>> output.shape, c.shape
    (torch.Size([7, 2, 4]), torch.Size([2, 2, 4]))
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__("lstm", *arguments, **options)


class GRU(_LikeTorch):
    """Gated recurrent unit in its three forms; by default a drop-in for `torch.nn.GRU`.

    Arguments:
        variant: ``cudnn`` (reset after the product, torch's form), ``chung2014`` (reset before the product; z admits
            the candidate) or ``cho2014`` (reset before the product; z keeps the old state).
        arguments, options: as for `LSTM`.

    >>> import torch, gatewise
    >>> output, h = gatewise.GRU(3, 4, variant="chung2014")(torch.randn(7, 2, 3))
    >>> output.shape
    torch.Size([7, 2, 4])
    """

    def __init__(self, *arguments: Any, variant: str = "cudnn", **options: Any) -> None:
        super().__init__(_chosen(_GRU_CELLS, "variant", variant), *arguments, **options)
        self.variant = variant


class PeepholeLSTM(_LikeTorch):
    """LSTM whose gates see the cell state (Gers & Schmidhuber 2000; Graves 2013).

    Arguments:
        peephole: ``diagonal`` (a weight per unit) or ``full`` (a matrix).
        init: initial weights, ``default`` unless given.
        arguments, options: as for `LSTM`.

    >>> import torch, gatewise
    >>> output, (h, c) = gatewise.PeepholeLSTM(3, 4, batch_first=True)(torch.randn(2, 7, 3))
    >>> output.shape
    torch.Size([2, 7, 4])
    """

    def __init__(
        self, *arguments: Any, peephole: str = "diagonal", init: str | Init = "default", **options: Any
    ) -> None:
        super().__init__(_chosen(_PEEPHOLE_CELLS, "peephole", peephole), *arguments, init=init, **options)
        self.peephole = peephole


class BiRNN(RNN):
    """`RNN` in both directions (Schuster & Paliwal 1997); ``merge`` says how their outputs become one.

    >>> import torch, gatewise
    >>> output, h = gatewise.BiRNN(3, 4, merge="mean")(torch.randn(7, 2, 3))
    >>> output.shape, h.shape
    (torch.Size([7, 2, 4]), torch.Size([2, 2, 4]))
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, bidirectional=True, **options)


class BiLSTM(LSTM):
    """`LSTM` in both directions (Graves & Schmidhuber 2005); ``merge`` says how their outputs become one.

    >>> import torch, gatewise
    >>> output, (h, c) = gatewise.BiLSTM(3, 4)(torch.randn(7, 2, 3))
    >>> output.shape
    torch.Size([7, 2, 8])
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, bidirectional=True, **options)


class BiGRU(GRU):
    """`GRU` in both directions; ``merge`` says how their outputs become one.

    >>> import torch, gatewise
    >>> output, h = gatewise.BiGRU(3, 4, merge="learned")(torch.randn(7, 2, 3))
    >>> output.shape
    torch.Size([7, 2, 4])
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, bidirectional=True, **options)
