"""One layer learns a problem: what most studies measure."""

import torch

from gatewise.layers import Clip
from gatewise.studies.problems import Network, Problem
from gatewise.studies.regulariser import add_regulariser
from gatewise.studies.training import Batch, Training, train


def learn(
    problem: Problem,
    network: Network,
    generator: torch.Generator,
    *,
    rate: float,
    sequences: int,
    clip: Clip | None,
    optimiser: type[torch.optim.Optimizer] = torch.optim.Adam,
    batch: int = 16,
    regulariser: float = 0.0,
) -> Training:
    """Train a network on a problem until it is solved.

    Args:
        problem: what to learn.
        network: the network, initialised.
        generator: draws the sequences.
        rate: the learning rate.
        sequences: the largest number of sequences.
        clip: clips gradients.
        optimiser: the class of the optimiser.
        batch: sequences in a batch.
        regulariser: the weight of the regulariser of Pascanu et al., for a layer of tanh units.
    """

    def run(_: torch.nn.Module, count: int) -> Batch:
        drawn = problem.draw(count, generator)
        answer = network(drawn)
        if regulariser:
            network.retain_output_gradient()
        return problem.judge(answer, drawn)

    return train(
        network,
        run,
        optimiser=optimiser(network.parameters(), lr=rate),  # pyright: ignore[reportCallIssue]
        sequences=sequences,
        batch=batch,
        clip=clip,
        window=problem.window,
        solved_loss=problem.solved_loss,
        after_backward=(lambda _: add_regulariser(network, regulariser)) if regulariser else None,
    )
