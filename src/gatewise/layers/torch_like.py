"""The base class of the layers named as in `torch.nn`."""

import torch

from gatewise.layers.identity import torch_mode
from gatewise.layers.initialisers import Init
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
)
from gatewise.layers.recurrent import Recurrent


class LikeTorch(Recurrent):
    """A `Recurrent` with the positional arguments of `torch.nn`."""

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: Bias,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        merge: Merge,
        reverse: bool,
        masked_output: MaskedOutput,
        return_state: bool,
        return_states: bool,
        init: Scheme | Init,
        backend: BackendName,
        checkpoint_every: CheckpointEvery,
        recurrent_dropout: float,
        variational: float,
        zoneout: Zoneout,
        weight_drop: float,
        rates: MaskRates,
    ) -> None:
        super().__init__(
            cell,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
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
            proj_size=proj_size,
            device=device,
            dtype=dtype,
        )

    @property
    def mode(self) -> str:
        """`torch.nn`'s name of the cell, such as ``LSTM`` or ``RNN_TANH``; otherwise the cell's name."""
        return torch_mode(self.cell) or self.cell.name
