"""The generated tasks as problems to train on: draw, loss, and when a sequence counts as right."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from gatewise.cells import lookup
from gatewise.data.generated.adding import adding, adding_right, adding_sum
from gatewise.data.generated.copy_memory import copy_memory, memoryless_loss
from gatewise.data.generated.sequences import Sequences
from gatewise.data.generated.temporal_order import temporal_order
from gatewise.explanations.counts import parameter_count
from gatewise.layers import Recurrent
from gatewise.studies.training import Batch


class Problem(ABC):
    """A task for `train`.

    Attributes:
        input_size, output_size: widths of the network.
        reads: whether the answer is read from the last state, or from the outputs of all steps.
        solved_loss: the mean loss at which the criterion holds, if all sequences of the window are right too.
        window: the last sequences that must all be right.
    """

    input_size: ClassVar[int]
    output_size: ClassVar[int]
    reads: ClassVar[str] = "last"
    solved_loss: float = math.inf
    window: ClassVar[int] = 2000

    def __init__(self, length: int) -> None:
        self.length = length

    @property
    def span(self) -> int:
        """The steps over which something must be remembered, at most."""
        return self.length

    @abstractmethod
    def draw(self, count: int, generator: torch.Generator) -> Sequences:
        """Draw sequences."""

    @abstractmethod
    def judge(self, answer: Tensor, sequences: Sequences) -> Batch:
        """The loss of the answers, (B, O) or (T, B, O), and which sequences are right."""


class Adding(Problem):
    """Adding, experiment 4 of Hochreiter & Schmidhuber 1997: right is an error below 0.04."""

    input_size, output_size = 2, 1

    def draw(self, count: int, generator: torch.Generator) -> Sequences:
        return adding(count, self.length, generator=generator)

    def judge(self, answer: Tensor, sequences: Sequences) -> Batch:
        error = answer[:, 0] - sequences.targets
        return Batch(error.square().mean(), adding_right(answer.detach()[:, 0], sequences.targets))


class AddingSum(Problem):
    """Adding as in Le et al. 2015: solved is a mean squared error below 0.01 over the window."""

    input_size, output_size = 2, 1
    solved_loss, window = 0.01, 320

    def draw(self, count: int, generator: torch.Generator) -> Sequences:
        return adding_sum(count, self.length, generator=generator)

    def judge(self, answer: Tensor, sequences: Sequences) -> Batch:
        error = answer[:, 0] - sequences.targets
        return Batch(error.square().mean(), torch.ones(len(error), dtype=torch.bool))


class TemporalOrder(Problem):
    """Temporal order, experiment 6a: right is each class probability within 0.3 of its target."""

    input_size, output_size = 8, 4

    def draw(self, count: int, generator: torch.Generator) -> Sequences:
        return temporal_order(count, self.length, generator=generator)

    def judge(self, answer: Tensor, sequences: Sequences) -> Batch:
        loss = nn.functional.cross_entropy(answer, sequences.targets)
        right = answer.detach().softmax(-1).gather(-1, sequences.targets[:, None])[:, 0] > 0.7
        return Batch(loss, right)


class CopyMemory(Problem):
    """Copy memory with three symbols to recall: solved is a tenth of the loss without memory."""

    input_size, output_size = 10, 10
    reads = "all"
    window = 320
    recall = 3

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.solved_loss = memoryless_loss(length, self.recall) / 10

    @property
    def span(self) -> int:
        return self.length + 2 * self.recall

    def draw(self, count: int, generator: torch.Generator) -> Sequences:
        return copy_memory(count, self.length, recall=self.recall, generator=generator)

    def judge(self, answer: Tensor, sequences: Sequences) -> Batch:
        loss = nn.functional.cross_entropy(answer.flatten(0, 1), sequences.targets.flatten())
        return Batch(loss, torch.ones(answer.shape[1], dtype=torch.bool))


class Network(nn.Module):
    """A recurrent layer and a linear map of its last state, or of its output at every step.

    Args:
        layer: a layer of one direction.
        problem: what it is to learn, which says how the answers are read.

    Attributes:
        output: the last output of the layer, (T, B, H), for those who look at its gradient.
    """

    def __init__(self, layer: Recurrent, problem: Problem) -> None:
        super().__init__()
        self.layer = layer
        self.readout = nn.Linear(layer.hidden_size, problem.output_size)
        self.reads = problem.reads
        self.output: Tensor | None = None

    def forward(self, sequences: Sequences) -> Tensor:
        """The answers, (B, O) or (T, B, O)."""
        output, _ = self.layer(sequences.inputs, lengths=sequences.lengths)
        self.output = output
        if self.reads == "all":
            return self.readout(output)
        if sequences.lengths is None:
            return self.readout(output[-1])
        rows = torch.arange(output.shape[1])
        return self.readout(output[sequences.lengths - 1, rows])

    def retain_output_gradient(self) -> None:
        """Keep the gradient of `output` in the backward pass."""
        assert self.output is not None
        self.output.retain_grad()


def width_for(cell: str, input_size: int, parameters: int) -> int:
    """The hidden size at which a layer of a cell has closest to the given number of parameters.

    >>> width_for("lstm", 2, 10_000), width_for("rnn_tanh", 2, 10_000)
    (48, 98)
    """

    def count(width: int) -> int:
        return parameter_count(lookup(cell), input_size, width)

    low, high = 1, 1
    while count(high) < parameters:
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < parameters else (low, middle)
    return min((low, high), key=lambda width: abs(count(width) - parameters))
