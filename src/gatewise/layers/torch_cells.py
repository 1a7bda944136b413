"""Single steps with the interface of `torch.nn.RNNCell`, `LSTMCell` and `GRUCell`."""

from collections.abc import Sequence
from typing import Any, Never

import torch
from torch import Tensor

from gatewise.layers.gru import GRU_CELLS, Variant
from gatewise.layers.initialisers import Init
from gatewise.layers.keywords import unknown_keyword
from gatewise.layers.options import BackendName, Device, Scheme, chosen
from gatewise.layers.recurrent import Recurrent
from gatewise.layers.rnn import RNN_CELLS, Nonlinearity


class _StepCell(Recurrent):
    """A layer that runs one step at each call; its parameters have no number of a layer in their names."""

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        bias: bool,
        device: Device,
        dtype: torch.dtype | None,
        init: Scheme | Init,
        backend: BackendName,
    ) -> None:
        super().__init__(
            cell, input_size, hidden_size, bias=bias, init=init, backend=backend, device=device, dtype=dtype
        )

    def _of_layer(self, layer: int, width: int) -> dict[str, torch.Size]:
        named = super()._of_layer(layer, width)
        return {name.removesuffix(f"_l{layer}"): shape for name, shape in named.items()}

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        input: Tensor,
        hx: Tensor | Sequence[Tensor] | None = None,
        *,
        reset: Tensor | None = None,
        **unknown: Never,
    ) -> Tensor | tuple[Tensor, ...]:
        """Run one step.

        Args:
            input: (B, I), or (I,) without a batch.
            hx: state (B, H), or (H,) without a batch: a tensor, or for an LSTM a pair (h, c). None is zero.
            reset: (B,) bool, or () without a batch: true resets the state of the row.

        Returns:
            The new state, of the form of hx.

        Raises:
            TypeError, ValueError: naming the argument, the expected and the actual value.
        """
        if unknown:
            raise unknown_keyword(f"{type(self).__name__}.forward", next(iter(unknown)), ("input", "hx", "reset"))
        initial: Any = hx  # `step` reports what is neither
        if isinstance(hx, Tensor):
            initial = hx.unsqueeze(0)
        elif isinstance(hx, (tuple, list)):
            initial = tuple([one.unsqueeze(0) if isinstance(one, Tensor) else one for one in hx])
        _, state = self.step(input, initial, reset=reset)
        return state[0] if isinstance(state, Tensor) else tuple(one[0] for one in state)


class RNNCell(_StepCell):
    """One step of a simple recurrent network, a drop-in for `torch.nn.RNNCell`.

    Input (B, I), state and output (B, H). Over a whole sequence `gatewise.RNN` is much faster.

    Args:
        input_size: I, the width of the input.
        hidden_size: H, the width of the state.
        bias: False drops the biases.
        nonlinearity: as for `RNN`.
        device, dtype: of the parameters.
        init: initial weights, see `Init`; with ``torch`` those of `torch.nn.RNNCell` for the same seed.
        backend: ``auto`` (the fastest that can run a call) or the name of one.

    Raises:
        ValueError, TypeError: for an argument out of its range.

    >>> import torch, gatewise
    >>> gatewise.RNNCell(3, 4)(torch.randn(2, 3)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: Nonlinearity = "tanh",
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        init: Scheme | Init = "torch",
        backend: BackendName = "auto",
    ) -> None:
        cell = chosen(RNN_CELLS, "nonlinearity", nonlinearity)
        super().__init__(cell, input_size, hidden_size, bias, device, dtype, init, backend)
        self.nonlinearity = nonlinearity


class LSTMCell(_StepCell):
    """One step of an LSTM, a drop-in for `torch.nn.LSTMCell`.

    Input (B, I), states (h, c), each (B, H). Over a whole sequence `gatewise.LSTM` is much faster.

    Args:
        input_size: I, the width of the input.
        hidden_size: H, the width of each state.
        bias: False drops the biases.
        device, dtype: of the parameters.
        init: initial weights, see `Init`; with ``torch`` those of `torch.nn.LSTMCell` for the same seed.
        backend: ``auto`` (the fastest that can run a call) or the name of one.

    Raises:
        ValueError, TypeError: for an argument out of its range.

    >>> import torch, gatewise
    >>> h, c = gatewise.LSTMCell(3, 4)(torch.randn(2, 3))
    >>> h.shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        init: Scheme | Init = "torch",
        backend: BackendName = "auto",
    ) -> None:
        super().__init__("lstm", input_size, hidden_size, bias, device, dtype, init, backend)


class GRUCell(_StepCell):
    """One step of a gated recurrent unit, by default a drop-in for `torch.nn.GRUCell`.

    Input (B, I), state and output (B, H). Over a whole sequence `gatewise.GRU` is much faster.

    Args:
        input_size: I, the width of the input.
        hidden_size: H, the width of the state.
        bias: False drops the biases.
        device, dtype: of the parameters.
        variant: as for `GRU`.
        init: initial weights, see `Init`; with ``torch`` those of `torch.nn.GRUCell` for the same seed.
        backend: ``auto`` (the fastest that can run a call) or the name of one.

    Raises:
        ValueError, TypeError: for an argument out of its range.

    >>> import torch, gatewise
    >>> gatewise.GRUCell(3, 4, variant="cho2014")(torch.randn(2, 3)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        variant: Variant = "cudnn",
        init: Scheme | Init = "torch",
        backend: BackendName = "auto",
    ) -> None:
        cell = chosen(GRU_CELLS, "variant", variant)
        super().__init__(cell, input_size, hidden_size, bias, device, dtype, init, backend)
        self.variant = variant
