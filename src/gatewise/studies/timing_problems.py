"""The timing tasks as problems to train on."""

import torch
from torch import Tensor, nn

from gatewise.data.generated.sequences import Sequences
from gatewise.data.generated.timing import (
    delays_right,
    generate_timed_spikes,
    measure_spike_delays,
    periodic,
    spikes_right,
)
from gatewise.studies.problems import Problem
from gatewise.studies.training import Batch


class MeasureDelays(Problem):
    """Measure spike delays from 0 to 2: right is every delay, rounded."""

    input_size, output_size = 1, 1
    reads, window = "all", 320

    def draw(self, count: int, generator: torch.Generator) -> Sequences:
        return measure_spike_delays(count, self.length, generator=generator)

    def judge(self, answer: Tensor, sequences: Sequences) -> Batch:
        spikes = sequences.inputs[..., 0] > 0  # the targets elsewhere are NaN, whose gradient is too
        loss = (answer[..., 0] - sequences.targets)[spikes].square().mean()
        return Batch(loss, delays_right(answer.detach()[..., 0], sequences.targets))


class GenerateSpikes(Problem):
    """Generate timed spikes: right is a probability above ½ at the spikes' steps and at no others."""

    input_size, output_size = 1, 1
    reads, window = "all", 320

    def draw(self, count: int, generator: torch.Generator) -> Sequences:
        return generate_timed_spikes(count, self.length, generator=generator)

    def judge(self, answer: Tensor, sequences: Sequences) -> Batch:
        loss = nn.functional.binary_cross_entropy_with_logits(answer[..., 0], sequences.targets)
        return Batch(loss, spikes_right(answer.detach()[..., 0].sigmoid(), sequences.targets))


class SquareWave(Problem):
    """Generate a square wave of period 25 without input: right is an absolute error below 0.3 at every step.

    All sequences are the same, so a batch has one.
    """

    input_size, output_size = 1, 1
    reads, window = "all", 10

    def draw(self, count: int, generator: torch.Generator) -> Sequences:
        del count, generator
        return periodic("square", 25, self.length)

    def judge(self, answer: Tensor, sequences: Sequences) -> Batch:
        error = answer[..., 0] - sequences.targets
        return Batch(error.square().mean(), error.detach().abs().amax(0) < 0.3)
