"""Adding: remember two marked numbers of a long sequence, and give their sum at its end.

The definition and criterion are those of Hochreiter & Schmidhuber 1997, Long short-term memory, Neural Computation
9(8), experiment 4; the simpler form, with values in [0, 1], is used by Le, Jaitly & Hinton 2015, arXiv:1504.00941, and
with one mark in each half by Arjovsky, Shah & Bengio 2016, arXiv:1511.06464.
"""

import torch
from torch import Tensor

from gatewise.data.generated.sequences import Sequences, check_size, integers, ragged_lengths

TOLERANCE = 0.04
"""The absolute error below which a sequence is right (Hochreiter & Schmidhuber)."""


def adding(count: int, length: int, *, generator: torch.Generator) -> Sequences:
    """Draw sequences as Hochreiter & Schmidhuber.

    Each step has a value, uniform in [−1, 1], and a marker. The length is uniform from T to 1.1 T. One of the first ten
    steps is marked with 1 (its value is X₁), then one of the first T/2 − 1 unmarked ones (X₂); the first and last steps
    have the marker −1, all others 0. Where the first step itself is drawn, its marker is −1 too, and its
    value counts as 0. The target is 0.5 + (X₁ + X₂) / 4.

    Args:
        count: sequences B.
        length: T, at least 10.
        generator: source of random numbers.

    Returns:
        inputs (1.1 T, B, 2): value and marker; targets (B,).

    Raises:
        ValueError, TypeError: for a count below 1 or a length below 10.

    >>> drawn = adding(3, 100, generator=torch.Generator().manual_seed(0))
    >>> drawn.inputs.shape[1:], drawn.targets.shape, bool((drawn.lengths >= 100).all())
    (torch.Size([3, 2]), torch.Size([3]), True)
    """
    check_size("count", count, 1)
    check_size("length", length, 10)
    lengths = ragged_lengths(length, count, generator)
    steps = int(lengths.max())
    values = torch.empty(steps, count).uniform_(-1, 1, generator=generator)
    candidates = length // 2 - 1
    # Of ten steps the tenth is the last, which has its own marker.
    first = integers(0, min(10, length - 1) - 1, (count,), generator)
    # One of the candidates without the first mark: those at or after it are shifted by one.
    second = integers(0, candidates - 1, (count,), generator)
    second += second >= first
    rows = torch.arange(count)
    markers = torch.zeros(steps, count)
    markers[first, rows] = 1
    markers[second, rows] = 1
    markers[0] = -1
    markers[lengths - 1, rows] = -1
    marked = torch.where(markers == 1, values, 0.0).sum(0)
    inputs = torch.stack([values, markers], dim=-1)
    inputs *= (torch.arange(steps)[:, None] < lengths)[..., None]
    return Sequences(inputs, 0.5 + marked / 4, lengths)


def adding_sum(count: int, length: int, *, generator: torch.Generator) -> Sequences:
    """Draw the simpler form: values uniform in [0, 1], one mark in each half, the target is the sum of the marked.

    Always answering 1 has a mean squared error of 1/6.

    Args:
        count: sequences B.
        length: T, at least 2.
        generator: source of random numbers.

    Returns:
        inputs (T, B, 2): value and mark; targets (B,).

    Raises:
        ValueError, TypeError: for a count below 1 or a length below 2.

    >>> drawn = adding_sum(3, 50, generator=torch.Generator().manual_seed(0))
    >>> drawn.inputs[..., 1].sum(0)
    tensor([2., 2., 2.])
    """
    check_size("count", count, 1)
    check_size("length", length, 2)
    values = torch.rand(length, count, generator=generator)
    marks = torch.zeros(length, count)
    rows = torch.arange(count)
    marks[integers(0, length // 2 - 1, (count,), generator), rows] = 1
    marks[integers(length // 2, length - 1, (count,), generator), rows] = 1
    return Sequences(torch.stack([values, marks], dim=-1), (values * marks).sum(0))


def adding_right(answers: Tensor, targets: Tensor) -> Tensor:
    """Which answers are right by Hochreiter & Schmidhuber: an absolute error below 0.04.

    Args:
        answers, targets: (B,).

    >>> adding_right(torch.tensor([0.50, 0.55]), torch.tensor([0.53, 0.50]))
    tensor([ True, False])
    """
    return (answers - targets).abs() < TOLERANCE
