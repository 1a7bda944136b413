"""The encoder: recurrent layers of any cell, in one direction or both, over sequences of different lengths."""

import torch
from torch import Tensor, nn

from gatewise.equations import Cell
from gatewise.layers import Init, Recurrent
from gatewise.layers.options import Merge, RegularisationOptions, Scheme
from gatewise.models.dropout import SequenceDropout


class Encoder(nn.Module):
    """Recurrent layers with dropout around them.

    Args:
        cell: a built-in cell's name, or a `Cell`.
        input_size: I, the width of a step.
        hidden_size: H, the width of the state.
        num_layers: L.
        bidirectional: whether the sequence is read in reverse too.
        merge: how both directions are merged, see `Recurrent`.
        dropout: the probability of dropping a unit before, between and after the layers.
        drop_input: whether units of the input are dropped too; not recommended for measured inputs.
        init: an initialiser of `Recurrent`.
        regularisation: options of `Recurrent` that regularise the recurrence, such as ``{"variational": 0.3}``.

    >>> encoder = Encoder("gru_cudnn", 3, 4, bidirectional=True)
    >>> output, final = encoder(torch.randn(5, 2, 3), torch.tensor([5, 2]))
    >>> output.shape, final.shape, encoder.width
    (torch.Size([5, 2, 8]), torch.Size([2, 8]), 8)
    """

    def __init__(
        self,
        cell: Cell | str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        merge: Merge = "concat",
        dropout: float = 0.0,
        drop_input: bool = True,
        init: Scheme | Init = "default",
        regularisation: RegularisationOptions | None = None,
    ) -> None:
        super().__init__()
        self.recurrent = Recurrent(
            cell,
            input_size,
            hidden_size,
            num_layers,
            dropout=dropout if num_layers > 1 else 0.0,
            bidirectional=bidirectional,
            merge=merge,
            init=init,
            **(regularisation or {}),
        )
        self.dropout = SequenceDropout(dropout)
        self._drop_ends = nn.Dropout(dropout)
        self._drop_input = drop_input
        self.width = hidden_size * (2 if bidirectional and merge == "concat" else 1)
        self.final_width = hidden_size * (2 if bidirectional else 1)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode sequences.

        Args:
            x: (T, B, I).
            lengths: (B,) int64; values beyond them are not read.

        Returns:
            the output (T, B, `width`), 0 in the padding, and the last layer's hidden state at the end of what each
            direction reads, (B, `final_width`), the directions concatenated.
        """
        output, state = self.recurrent(self.dropout(x) if self._drop_input else x, lengths=lengths)
        hidden = state if isinstance(state, Tensor) else state[0]
        ends = hidden[-2 if self.recurrent.bidirectional else -1 :]
        return self.dropout(output), self._drop_ends(ends.transpose(0, 1).flatten(1))


def length_mask(steps: int, lengths: Tensor) -> Tensor:
    """True at the steps of T that are within the lengths (B,), (T, B) bool."""
    return torch.arange(steps, device=lengths.device)[:, None] < lengths
