"""Training a small network on a generated task until a criterion is satisfied, counting sequences."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gatewise.layers import Clip

CURVE_POINTS = 40
_DIVERGED = 1000.0


class Batch(NamedTuple):
    """What a network did with a batch of sequences.

    Attributes:
        loss: the mean loss.
        right: for each sequence, whether it is right by the task's criterion, (B,) bool.
    """

    loss: Tensor
    right: Tensor


class Training(NamedTuple):
    """How a training run went.

    Attributes:
        solved_after: the sequences after which the criterion was satisfied; None if it was not.
        sequences: all sequences that were read.
        diverged: whether the loss or the gradient became infinite or NaN, which ends the training.
        final_loss: the mean loss of the last window; None if training diverged in the first.
        final_right: the share of right sequences in the last window.
        curve: pairs of sequences and mean loss since the point before.
        largest_norm: the largest finite norm of the gradient before clipping.
    """

    solved_after: int | None
    sequences: int
    diverged: bool
    final_loss: float | None
    final_right: float
    curve: list[tuple[int, float]]
    largest_norm: float

    def as_outcome(self) -> dict[str, Any]:
        """As values for JSON."""
        return self._asdict()

    def score(self, sequences: int) -> float:
        """How bad it is, to choose a learning rate: the share of sequences until solved, or 1 + the final loss.

        Args:
            sequences: the largest number of sequences.
        """
        if self.solved_after is not None:
            return self.solved_after / sequences
        return _DIVERGED if self.diverged or self.final_loss is None else min(1 + self.final_loss, _DIVERGED)


def train(
    network: nn.Module,
    run: Callable[[nn.Module, int], Batch],
    *,
    optimiser: torch.optim.Optimizer,
    sequences: int,
    batch: int = 16,
    clip: Clip | None = None,
    window: int = 2000,
    solved_loss: float = math.inf,
    after_backward: Callable[[nn.Module], object] | None = None,
) -> Training:
    """Train until the last ``window`` sequences were all right with a mean loss below ``solved_loss``.

    Args:
        network: the network.
        run: draws a batch of the given number of sequences and runs the network on it.
        optimiser: the optimiser of its parameters.
        sequences: the largest number of sequences.
        batch: sequences in a batch.
        clip: clips gradients.
        window: the sequences that must be right without exception.
        solved_loss: the mean loss of the window must be below this as well.
        after_backward: called with the network after each backward pass, before clipping; may change gradients.
    """
    losses: list[float] = []
    rights: list[int] = []
    in_window = max(1, math.ceil(window / batch))
    largest, diverged, solved_after, step = 0.0, False, None, 0
    for step in range(1, math.ceil(sequences / batch) + 1):
        result = run(network, batch)
        loss = float(result.loss.detach())
        if not math.isfinite(loss):
            diverged = True
            break
        optimiser.zero_grad(set_to_none=True)
        result.loss.backward()
        if after_backward is not None:
            after_backward(network)
        norm = _clip(network, clip)
        if not math.isfinite(norm):
            diverged = True
            break
        largest = max(largest, norm)
        optimiser.step()
        losses.append(loss)
        rights.append(int(result.right.sum()))
        if len(losses) >= in_window:
            recent = rights[-in_window:]
            if sum(recent) == in_window * batch and sum(losses[-in_window:]) / in_window < solved_loss:
                solved_after = step * batch
                break
    recent = losses[-in_window:]
    return Training(
        solved_after,
        step * batch,
        diverged,
        sum(recent) / len(recent) if recent else None,
        sum(rights[-in_window:]) / (batch * len(recent)) if recent else 0.0,
        _curve(losses, batch),
        largest,
    )


def _clip(network: nn.Module, clip: Clip | None) -> float:
    """The norm of the gradient before clipping."""
    if clip is not None:
        return float(clip(network).norm)
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients))


def _curve(losses: list[float], batch: int) -> list[tuple[int, float]]:
    size = max(1, math.ceil(len(losses) / CURVE_POINTS))
    parts = [
        (start + len(losses[start : start + size]), losses[start : start + size])
        for start in range(0, len(losses), size)
    ]
    return [(end * batch, float(f"{sum(part) / len(part):.5g}")) for end, part in parts]
