"""Long short-term memory by its usual name."""

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
    is_on,
)
from gatewise.layers.torch_like import LikeTorch


def _cell(layer_norm: bool, proj_size: int) -> str:
    """The cell of an LSTM with these options.

    Raises:
        ValueError: when there is none.
    """
    if is_on("layer_norm", layer_norm) and proj_size:
        raise ValueError(
            f"proj_size: expected 0 with layer_norm=True, got {proj_size}; no published cell has both. "
            "Define one with @gatewise.cell(widths={'h': 'P'})"
        )
    return "lstm_layer_norm" if layer_norm else "lstm_projected" if proj_size else "lstm"


class LSTM(LikeTorch):
    """Long short-term memory with a forget gate (Gers et al. 2000), a drop-in for `torch.nn.LSTM`.

    One step, in the notation of ``gatewise explain lstm``::

        i_t = σ(W_xi x_t + b_xi + W_hi h_{t−1} + b_hi)
        f_t = σ(W_xf x_t + b_xf + W_hf h_{t−1} + b_hf)
        g_t = tanh(W_xg x_t + b_xg + W_hg h_{t−1} + b_hg)
        o_t = σ(W_xo x_t + b_xo + W_ho h_{t−1} + b_ho)
        c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t
        h_t = o_t ⊙ tanh(c_t)

    Input (T, B, I), output (T, B, D·H), final states (h, c), each (D·L, B, H), of width P for h with
    ``proj_size``; D is 2 with ``bidirectional``, else 1.

    Args:
        input_size: I, the width of a step of the input.
        hidden_size: H, the width of each state.
        num_layers: L; each further layer reads the output of the one below.
        bias: False drops the biases; ``single`` keeps one for each sum; see `Recurrent`.
        batch_first: whether input, output and reset are (B, T, …) rather than (T, B, …). States are not affected.
        dropout: probability of dropping an output of every layer but the last, in training.
        bidirectional: whether a second set of weights reads every sequence from its end.
        proj_size: P < H, the width of h and so of the output: the last equation is h_t = W_ch (o_t ⊙ tanh(c_t)), with
            the matrix ``weight_hr_l{k}`` (P, H), and the cell ``lstm_projected``. 0: none.
        device, dtype: of the parameters.
        layer_norm: whether both products and the cell state are normalised over units (Ba et al. 2016): the cell
            ``lstm_layer_norm``, with gains and shifts as further parameters.
        merge: how the outputs of both directions are combined; see `Recurrent`.
        reverse: whether the one direction reads every sequence from its end; see `Recurrent`.
        masked_output: ``zero`` or ``repeat``, the output at masked steps; see `Recurrent`.
        return_state: False returns the output alone; see `Recurrent`.
        return_states: True returns the states after every step too; see `Recurrent`.
        init: initial weights, see `Init`; with ``torch`` those of `torch.nn.LSTM` for the same seed.
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
    >>> output, (h, c) = gatewise.LSTM(3, 4, num_layers=2)(torch.randn(7, 2, 3))
    >>> output.shape, c.shape
    (torch.Size([7, 2, 4]), torch.Size([2, 2, 4]))
    """

    @with_known_keywords
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: Bias = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        layer_norm: bool = False,
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
            _cell(layer_norm, proj_size),
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
        self.layer_norm = layer_norm


class BiLSTM(LSTM):
    """`LSTM` in both directions (Graves & Schmidhuber 2005).

    One step, in the notation of ``gatewise explain lstm``::

        i_t = σ(W_xi x_t + b_xi + W_hi h_{t−1} + b_hi)
        f_t = σ(W_xf x_t + b_xf + W_hf h_{t−1} + b_hf)
        g_t = tanh(W_xg x_t + b_xg + W_hg h_{t−1} + b_hg)
        o_t = σ(W_xo x_t + b_xo + W_ho h_{t−1} + b_ho)
        c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t
        h_t = o_t ⊙ tanh(c_t)

    Input (T, B, I), output (T, B, 2·H), or (T, B, H) by ``merge``, final states (h, c), each (2·L, B, H).

    Args:
        input_size: I, the width of a step of the input.
        hidden_size: H, the width of each state.
        num_layers: L; each further layer reads the output of the one below.
        bias: False drops the biases; ``single`` keeps one for each sum; see `Recurrent`.
        batch_first: whether input, output and reset are (B, T, …) rather than (T, B, …). States are not affected.
        dropout: probability of dropping an output of every layer but the last, in training.
        device, dtype: of the parameters.
        layer_norm: whether both products and the cell state are normalised over units (Ba et al. 2016): the cell
            ``lstm_layer_norm``, with gains and shifts as further parameters.
        proj_size: P, the width of h; see `LSTM`.
        merge: how the outputs of both directions are combined; see `Recurrent`.
        masked_output: ``zero`` or ``repeat``, the output at masked steps; see `Recurrent`.
        return_state: False returns the output alone; see `Recurrent`.
        return_states: True returns the states after every step too; see `Recurrent`.
        init: initial weights, see `Init`; with ``torch`` those of `torch.nn.LSTM` for the same seed.
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
    >>> output, (h, c) = gatewise.BiLSTM(3, 4)(torch.randn(7, 2, 3))
    >>> output.shape
    torch.Size([7, 2, 8])
    """

    @with_known_keywords
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: Bias = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        *,
        layer_norm: bool = False,
        proj_size: int = 0,
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
            bias,
            batch_first,
            dropout,
            bidirectional=True,
            proj_size=proj_size,
            device=device,
            dtype=dtype,
            layer_norm=layer_norm,
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
