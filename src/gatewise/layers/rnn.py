"""The simple recurrent network by its usual name."""

from typing import Literal

import torch

from gatewise.layers.initialisers import Init
from gatewise.layers.keywords import with_known_keywords
from gatewise.layers.options import (
    BackendName,
    Bias,
    CheckpointEvery,
    Device,
    MaskedOutput,
    MaskRates,
    Merge,
    Scheme,
    Zoneout,
    chosen,
)
from gatewise.layers.torch_like import LikeTorch

Nonlinearity = Literal["tanh", "relu", "sigmoid", "leaky_relu"]
RNN_CELLS = {"tanh": "rnn_tanh", "relu": "rnn_relu", "sigmoid": "rnn_sigmoid", "leaky_relu": "rnn_leaky_relu"}


class RNN(LikeTorch):
    """Simple recurrent network (Elman 1990), a drop-in for `torch.nn.RNN`.

    One step, in the notation of ``gatewise explain rnn_tanh``::

        h_t = tanh(W_xh x_t + b_xh + W_hh h_{t−1} + b_hh)

    Input (T, B, I), output (T, B, D·H), final state h (D·L, B, H); D is 2 with ``bidirectional``, else 1.

    Args:
        input_size: I, the width of a step of the input.
        hidden_size: H, the width of each state.
        num_layers: L; each further layer reads the output of the one below.
        nonlinearity: ``tanh``, ``relu``, ``sigmoid`` or ``leaky_relu``, in the place of tanh above.
        bias: False drops the biases; ``single`` keeps one for each sum; see `Recurrent`.
        batch_first: whether input, output and reset are (B, T, …) rather than (T, B, …). States are not affected.
        dropout: probability of dropping an output of every layer but the last, in training.
        bidirectional: whether a second set of weights reads every sequence from its end.
        proj_size: 0; of torch's layers only the LSTM has a projection.
        device, dtype: of the parameters.
        merge: how the outputs of both directions are combined; see `Recurrent`.
        reverse: whether the one direction reads every sequence from its end; see `Recurrent`.
        masked_output: ``zero`` or ``repeat``, the output at masked steps; see `Recurrent`.
        return_state: False returns the output alone; see `Recurrent`.
        return_states: True returns the states after every step too; see `Recurrent`.
        init: initial weights, see `Init`; with ``torch`` those of `torch.nn.RNN` for the same seed.
        backend: ``auto`` (the fastest that can run a call) or the name of one; see `Recurrent.backend_for`.
        checkpoint_every: in training save every n-th state and recompute the others; see `Recurrent`.
        recurrent_dropout: probability of dropping a unit of the candidate (Semeniuta et al. 2016); see `Recurrent`.
        variational: probability of dropping a unit of h_{t−1} in the products (Gal & Ghahramani 2016); see `Recurrent`.
        zoneout: probability that a unit keeps its state, or a pair (Krueger et al. 2017); see `Recurrent`.
        weight_drop: probability of dropping a recurrent weight (Merity et al. 2018); see `Recurrent`.
        rates: probabilities of the masks in the cell's own equations; see `Recurrent`.

    Raises:
        ValueError, TypeError: for an argument out of its range.

    >>> import torch, gatewise
    >>> output, h = gatewise.RNN(3, 4, nonlinearity="relu")(torch.randn(7, 2, 3))
    >>> output.shape, h.shape
    (torch.Size([7, 2, 4]), torch.Size([1, 2, 4]))
    """

    @with_known_keywords
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Nonlinearity = "tanh",
        bias: Bias = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        merge: Merge = "concat",
        reverse: bool = False,
        masked_output: MaskedOutput = "zero",
        return_state: bool = True,
        return_states: bool = False,
        init: Scheme | Init = "torch",
        backend: BackendName = "auto",
        checkpoint_every: CheckpointEvery = None,
        recurrent_dropout: float = 0.0,
        variational: float = 0.0,
        zoneout: Zoneout = 0.0,
        weight_drop: float = 0.0,
        rates: MaskRates = None,
    ) -> None:
        super().__init__(
            chosen(RNN_CELLS, "nonlinearity", nonlinearity),
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
            merge=merge,
            reverse=reverse,
            masked_output=masked_output,
            return_state=return_state,
            return_states=return_states,
            init=init,
            backend=backend,
            checkpoint_every=checkpoint_every,
            recurrent_dropout=recurrent_dropout,
            variational=variational,
            zoneout=zoneout,
            weight_drop=weight_drop,
            rates=rates,
        )
        self.nonlinearity = nonlinearity


class BiRNN(RNN):
    """`RNN` in both directions (Schuster & Paliwal 1997).

    One step, in the notation of ``gatewise explain rnn_tanh``::

        h_t = tanh(W_xh x_t + b_xh + W_hh h_{t−1} + b_hh)

    Input (T, B, I), output (T, B, 2·H), or (T, B, H) by ``merge``, final state h (2·L, B, H).

    Args:
        input_size: I, the width of a step of the input.
        hidden_size: H, the width of each state.
        num_layers: L; each further layer reads the output of the one below.
        nonlinearity: ``tanh``, ``relu``, ``sigmoid`` or ``leaky_relu``, in the place of tanh above.
        bias: False drops the biases; ``single`` keeps one for each sum; see `Recurrent`.
        batch_first: whether input, output and reset are (B, T, …) rather than (T, B, …). States are not affected.
        dropout: probability of dropping an output of every layer but the last, in training.
        device, dtype: of the parameters.
        merge: how the outputs of both directions are combined; see `Recurrent`.
        masked_output: ``zero`` or ``repeat``, the output at masked steps; see `Recurrent`.
        return_state: False returns the output alone; see `Recurrent`.
        return_states: True returns the states after every step too; see `Recurrent`.
        init: initial weights, see `Init`; with ``torch`` those of `torch.nn.RNN` for the same seed.
        backend: ``auto`` (the fastest that can run a call) or the name of one; see `Recurrent.backend_for`.
        checkpoint_every: in training save every n-th state and recompute the others; see `Recurrent`.
        recurrent_dropout: probability of dropping a unit of the candidate (Semeniuta et al. 2016); see `Recurrent`.
        variational: probability of dropping a unit of h_{t−1} in the products (Gal & Ghahramani 2016); see `Recurrent`.
        zoneout: probability that a unit keeps its state, or a pair (Krueger et al. 2017); see `Recurrent`.
        weight_drop: probability of dropping a recurrent weight (Merity et al. 2018); see `Recurrent`.
        rates: probabilities of the masks in the cell's own equations; see `Recurrent`.

    Raises:
        ValueError, TypeError: for an argument out of its range.

    >>> import torch, gatewise
    >>> output, h = gatewise.BiRNN(3, 4, merge="mean")(torch.randn(7, 2, 3))
    >>> output.shape, h.shape
    (torch.Size([7, 2, 4]), torch.Size([2, 2, 4]))
    """

    @with_known_keywords
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Nonlinearity = "tanh",
        bias: Bias = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        *,
        merge: Merge = "concat",
        masked_output: MaskedOutput = "zero",
        return_state: bool = True,
        return_states: bool = False,
        init: Scheme | Init = "torch",
        backend: BackendName = "auto",
        checkpoint_every: CheckpointEvery = None,
        recurrent_dropout: float = 0.0,
        variational: float = 0.0,
        zoneout: Zoneout = 0.0,
        weight_drop: float = 0.0,
        rates: MaskRates = None,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            nonlinearity,
            bias,
            batch_first,
            dropout,
            bidirectional=True,
            device=device,
            dtype=dtype,
            merge=merge,
            masked_output=masked_output,
            return_state=return_state,
            return_states=return_states,
            init=init,
            backend=backend,
            checkpoint_every=checkpoint_every,
            recurrent_dropout=recurrent_dropout,
            variational=variational,
            zoneout=zoneout,
            weight_drop=weight_drop,
            rates=rates,
        )
