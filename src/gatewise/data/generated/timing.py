"""Timing: measure the delays of spikes, generate spikes after given delays, and generate periodic functions.

After Gers, Schraudolph & Schmidhuber 2002, Learning precise timing with LSTM recurrent networks, Journal of Machine
Learning Research 3, which is known here second hand; where details are open, the docstrings say what is done here.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from gatewise.data.generated.sequences import Sequences, check_size, integers

Shape = Literal["cosine", "triangle", "square"]


def measure_spike_delays(
    count: int, length: int, *, minimum: int = 10, largest: int = 2, generator: torch.Generator
) -> Sequences:
    """Draw trains of spikes, each F + I steps after the one before, with I uniform from 0 to the largest delay.

    Args:
        count: sequences B.
        length: steps T.
        minimum: F, the least interval; at least 1.
        largest: the largest delay; at least 1.
        generator: source of random numbers.

    Returns:
        inputs (T, B, 1): 1 at spikes; targets (T, B): the delay I, without F, at each spike, and NaN elsewhere. Time
        begins one step before the first step.

    Raises:
        ValueError, TypeError: for too small numbers, or a length that need not have a spike.

    >>> drawn = measure_spike_delays(1, 12, generator=torch.Generator().manual_seed(0))
    >>> int(drawn.inputs.sum()), int(drawn.targets.isnan().sum())
    (1, 11)
    """
    times, delays = _spikes(count, length, minimum, largest, generator)
    spikes = torch.zeros(length, count)
    targets = torch.full((length, count), torch.nan)
    rows = torch.arange(count).expand_as(times)
    inside = times < length
    spikes[times[inside], rows[inside]] = 1
    targets[times[inside], rows[inside]] = delays[inside].float()
    return Sequences(spikes[..., None], targets)


def generate_timed_spikes(
    count: int, length: int, *, minimum: int = 10, largest: int = 2, generator: torch.Generator
) -> Sequences:
    """Draw delays, to be answered with spikes: `measure_spike_delays` with the roles of input and target exchanged.

    Args:
        count, length, minimum, largest, generator: as `measure_spike_delays`.

    Returns:
        inputs (T, B, 1): the delay I of the spike to come, divided by the largest, from the step after a spike up to
        the next; targets (T, B): 1 at spikes.

    Raises:
        ValueError, TypeError: as `measure_spike_delays`.

    >>> drawn = generate_timed_spikes(1, 12, generator=torch.Generator().manual_seed(0))
    >>> int(drawn.targets.sum())
    1
    """
    times, delays = _spikes(count, length, minimum, largest, generator)
    # The spike to come at a step is the first that is not before it.
    coming = (times[None] < torch.arange(length)[:, None, None]).sum(1)
    inputs = delays.gather(0, coming).float() / largest
    targets = (times[None] == torch.arange(length)[:, None, None]).any(1).float()
    return Sequences(inputs[..., None], targets)


def periodic(shape: Shape, period: int, length: int) -> Sequences:
    """A periodic function from 0 to 1, to be generated without input.

    Args:
        shape: "cosine": ½ (1 − cos 2πt/F); "triangle": from 0 up to 1 at half a period and down; "square": 1 in the
            first half of the period, 0 in the second.
        period: F, at least 2.
        length: steps T, at least 1.

    Returns:
        inputs (T, 1, 1): zeros; targets (T, 1): the function at t = 0, 1, ….

    Raises:
        ValueError, TypeError: for other shapes and too small numbers.

    >>> periodic("triangle", 4, 6).targets[:, 0]
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000, 0.5000])
    """
    check_size("period", period, 2)
    check_size("length", length, 1)
    phase = torch.arange(length) % period / period
    if shape == "cosine":
        values = (1 - torch.cos(2 * math.pi * phase)) / 2
    elif shape == "triangle":
        values = 1 - (2 * phase - 1).abs()
    elif shape == "square":
        values = (phase < 0.5).float()
    else:
        raise ValueError(f"shape: expected one of {', '.join(get_args(Shape))}, got {shape!r}")
    return Sequences(torch.zeros(length, 1, 1), values[:, None])


def delays_right(answers: Tensor, targets: Tensor) -> Tensor:
    """Which sequences are right: each delay, rounded, is the target.

    Args:
        answers, targets: (T, B); only steps whose target is not NaN count.

    >>> delays_right(torch.tensor([[0.7], [5.0]]), torch.tensor([[1.0], [torch.nan]]))
    tensor([True])
    """
    return (((answers - targets).abs() < 0.5) | targets.isnan()).all(0)


def spikes_right(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Which sequences are right: a probability above ½ at the steps with a spike, and at no others.

    Args:
        probabilities, targets: (T, B).

    >>> spikes_right(torch.tensor([[0.7, 0.7], [0.1, 0.8]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    tensor([ True, False])
    """
    return ((probabilities > 0.5) == (targets > 0.5)).all(0)


def _spikes(count: int, length: int, minimum: int, largest: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Times and delays of spikes, (N, B) each; the last spike of each row is at or after the end."""
    check_size("count", count, 1)
    check_size("minimum", minimum, 1)
    check_size("largest", largest, 1)
    check_size("length", length, minimum + largest)
    delays = integers(0, largest, (length // minimum + 1, count), generator)
    return (delays + minimum).cumsum(0) - 1, delays
