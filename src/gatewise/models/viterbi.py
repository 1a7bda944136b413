"""Viterbi decoding as the operator ``gatewise::viterbi``, opaque to compilers and exporters."""

import torch
from torch import Tensor

# torch.library.custom_op would load the compiler (torch._dynamo) when a model is read.
_LIBRARY = torch.library.Library("gatewise", "FRAGMENT")  # its registrations live as long as it does
_LIBRARY.define("viterbi(Tensor scores, Tensor table, Tensor lengths) -> Tensor")


def viterbi(scores: Tensor, table: Tensor, lengths: Tensor) -> Tensor:
    """The most probable tags of sequences.

    Args:
        scores: (T, B, K) of the steps.
        table: (K + 1, K + 1) of tag after tag; row K: of beginning with a tag, column K: of ending with it.
        lengths: (B,) int64.

    Returns:
        (T, B) int64; in the padding the last tag.

    >>> table = torch.tensor([[0.0, 0.0, 0.0], [2.0, -1.0, 0.0], [0.0, 0.0, 0.0]])
    >>> viterbi(torch.tensor([[[0.0, 1.0]], [[0.4, 0.5]]]), table, torch.tensor([2])).tolist()
    [[1], [0]]
    """
    return torch.ops.gatewise.viterbi(scores, table, lengths)


def _viterbi(scores: Tensor, table: Tensor, lengths: Tensor) -> Tensor:
    transition, start, end = table[:-1, :-1], table[-1, :-1], table[:-1, -1]
    best = start + scores[0]
    pointers: list[Tensor] = []
    stay = torch.arange(scores.shape[2], device=scores.device)
    for step in range(1, len(scores)):
        values, origins = (best[:, :, None] + transition).max(1)
        active = (step < lengths)[:, None]
        best = (values + scores[step]).where(active, best)
        pointers.append(origins.where(active, stay))
    tags = [(best + end).argmax(1)]
    for origins in reversed(pointers):
        tags.append(origins.gather(1, tags[-1][:, None])[:, 0])
    return torch.stack(tags[::-1])


def _shape_of(scores: Tensor, table: Tensor, lengths: Tensor) -> Tensor:
    return scores.new_empty(scores.shape[:2], dtype=torch.int64)


_LIBRARY.impl("viterbi", _viterbi, "CompositeExplicitAutograd")
torch.library.register_fake("gatewise::viterbi", _shape_of, lib=_LIBRARY)
