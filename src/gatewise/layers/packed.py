"""torch's PackedSequence as input and output: unpacked before a layer runs, repacked afterwards."""

from typing import NamedTuple

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


class Unpacked(NamedTuple):
    """A PackedSequence as padded rows in the caller's order: x (T, B, I) and lengths (B,)."""

    x: Tensor
    lengths: Tensor


def unpack(packed: PackedSequence) -> Unpacked:
    """The padded rows and lengths of a PackedSequence."""
    return Unpacked(*pad_packed_sequence(packed))


def repack(output: Tensor, lengths: Tensor, like: PackedSequence) -> PackedSequence:
    """An output (T, B, …) as a PackedSequence in the order of the input."""
    if like.sorted_indices is not None:
        output, lengths = output.index_select(1, like.sorted_indices), lengths[like.sorted_indices.cpu()]
    data = pack_padded_sequence(output, lengths).data
    return PackedSequence(data, like.batch_sizes, like.sorted_indices, like.unsorted_indices)
