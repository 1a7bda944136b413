"""The gated recurrent unit, in its three forms, by its usual name."""

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
    is_on,
)
from gatewise.layers.torch_like import LikeTorch

Variant = Literal["cudnn", "chung2014", "cho2014"]
GRU_CELLS = {"cudnn": "gru_cudnn", "chung2014": "gru_chung2014", "cho2014": "gru_cho2014"}


class GRU(LikeTorch):
    """Gated recurrent unit (Cho et al. 2014) in its three forms; by default a drop-in for `torch.nn.GRU`.

    One step, in the notation of ``gatewise explain gru_cudnn``::

        r_t = σ(W_xr x_t + b_xr + W_hr h_{t−1} + b_hr)
        z_t = σ(W_xz x_t + b_xz + W_hz h_{t−1} + b_hz)
        n_t = tanh(W_xn x_t + b_xn + r_t ⊙ (W_hn h_{t−1} + b_hn))
        h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_{t−1}

    Input (T, B, I), output (T, B, D·H), final state h (D·L, B, H); D is 2 with ``bidirectional``, else 1.

    Args:
        input_size: I, the width of a step of the input.
        hidden_size: H, the width of each state.
        num_layers: L; each further layer reads the output of the one below.
        bias: False drops the biases; ``single`` keeps one for each sum; see `Recurrent`.
        batch_first: whether input, output and reset are (B, T, …) rather than (T, B, …). States are not affected.
        dropout: probability of dropping an output of every layer but the last, in training.
        bidirectional: whether a second set of weights reads every sequence from its end.
        proj_size: 0; of torch's layers only the LSTM has a projection.
        device, dtype: of the parameters.
        variant: ``cudnn`` (reset after the product, torch's form, above), ``chung2014`` (reset before the product; z
            admits the candidate) or ``cho2014`` (reset before the product; z keeps the old state).
        layer_norm: whether both products are normalised over units (Ba et al. 2016): the cell ``gru_layer_norm``, with
            gains and shifts as further parameters; a form of its own, without a choice of variant.
        merge: how the outputs of both directions are combined; see `Recurrent`.
        reverse: whether the one direction reads every sequence from its end; see `Recurrent`.
        masked_output: ``zero`` or ``repeat``, the output at masked steps; see `Recurrent`.
        return_state: False returns the output alone; see `Recurrent`.
        return_states: True returns the states after every step too; see `Recurrent`.
        init: initial weights, see `Init`; with ``torch`` those of `torch.nn.GRU` for the same seed.
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
    >>> output, h = gatewise.GRU(3, 4, variant="chung2014")(torch.randn(7, 2, 3))
    >>> output.shape
    torch.Size([7, 2, 4])
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
        variant: Variant = "cudnn",
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
        cell = chosen(GRU_CELLS, "variant", variant)
        if is_on("layer_norm", layer_norm):
            if variant != "cudnn":
                raise ValueError(
                    f"variant: with layer_norm=True the GRU has one form (Ba et al. 2016, eq. 26-28), got {variant!r}; "
                    "leave variant out, or define a cell with gatewise.equations.layer_norm"
                )
            cell = "gru_layer_norm"
        super().__init__(
            cell,
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
        self.variant = variant
        self.layer_norm = layer_norm


class BiGRU(GRU):
    """`GRU` in both directions.

    One step, in the notation of ``gatewise explain gru_cudnn``::

        r_t = σ(W_xr x_t + b_xr + W_hr h_{t−1} + b_hr)
        z_t = σ(W_xz x_t + b_xz + W_hz h_{t−1} + b_hz)
        n_t = tanh(W_xn x_t + b_xn + r_t ⊙ (W_hn h_{t−1} + b_hn))
        h_t = (1 − z_t) ⊙ n_t + z_t ⊙ h_{t−1}

    Input (T, B, I), output (T, B, 2·H), or (T, B, H) by ``merge``, final state h (2·L, B, H).

    Args:
        input_size: I, the width of a step of the input.
        hidden_size: H, the width of each state.
        num_layers: L; each further layer reads the output of the one below.
        bias: False drops the biases; ``single`` keeps one for each sum; see `Recurrent`.
        batch_first: whether input, output and reset are (B, T, …) rather than (T, B, …). States are not affected.
        dropout: probability of dropping an output of every layer but the last, in training.
        device, dtype: of the parameters.
        variant: ``cudnn`` (reset after the product, torch's form, above), ``chung2014`` (reset before the product; z
            admits the candidate) or ``cho2014`` (reset before the product; z keeps the old state).
        layer_norm: whether both products are normalised over units (Ba et al. 2016): the cell ``gru_layer_norm``, with
            gains and shifts as further parameters; a form of its own, without a choice of variant.
        merge: how the outputs of both directions are combined; see `Recurrent`.
        masked_output: ``zero`` or ``repeat``, the output at masked steps; see `Recurrent`.
        return_state: False returns the output alone; see `Recurrent`.
        return_states: True returns the states after every step too; see `Recurrent`.
        init: initial weights, see `Init`; with ``torch`` those of `torch.nn.GRU` for the same seed.
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
    >>> output, h = gatewise.BiGRU(3, 4, merge="learned")(torch.randn(7, 2, 3))
    >>> output.shape
    torch.Size([7, 2, 4])
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
        variant: Variant = "cudnn",
        layer_norm: bool = False,
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
            device=device,
            dtype=dtype,
            variant=variant,
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
