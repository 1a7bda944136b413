"""The model of a run as one program of tensors."""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn

from gatewise.models.classifier import Classifier
from gatewise.models.language_model import LanguageModel
from gatewise.models.tagger import Tagger
from gatewise.models.token_embedding import TokenEmbedding
from gatewise.tasks.trained import Trained

SIZES: Final = ((7, 3), (12, 2))
"""Steps and rows: those that are exported, and others."""


class _Scores(nn.Module):
    """Scores of sequences with one tensor of inputs."""

    def __init__(self, model: Classifier | Tagger) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        return self.model((inputs,), lengths)


class _NextToken(nn.Module):
    """Scores of next tokens, from a zero state."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(tokens)[0]


def program_of(trained: Trained, to: str) -> tuple[nn.Module, Callable[[int, int], tuple[Tensor, ...]]]:
    """The module to export, and a function that draws its arguments for numbers of steps and rows.

    Args:
        trained: the run.
        to: name of the format, for errors.

    Raises:
        ValueError: for a model that is not one call of tensors.
    """
    model = trained.model
    draw = torch.Generator().manual_seed(0)

    def tokens(size: int, steps: int, rows: int) -> Tensor:
        return torch.randint(size, (steps, rows), generator=draw)

    def lengths(steps: int, rows: int) -> Tensor:
        return torch.randint(1, steps + 1, (rows,), generator=draw)

    if isinstance(model, LanguageModel):
        size = model.embedding.num_embeddings
        return _NextToken(model), lambda steps, rows: (tokens(size, steps, rows),)
    if isinstance(model, (Classifier, Tagger)):
        embedding = model.steps
        if isinstance(embedding, TokenEmbedding) and embedding.spelling is None:
            size = embedding.embedding.num_embeddings
            return _Scores(model), lambda steps, rows: (tokens(size, steps, rows), lengths(steps, rows))
        if isinstance(embedding, nn.Identity):
            width = model.encoder.recurrent.input_size
            return _Scores(model), lambda steps, rows: (
                torch.randn(steps, rows, width, generator=draw),
                lengths(steps, rows),
            )
        raise ValueError(
            f"--to {to}: this model reads more than one tensor for each sequence (spellings, features or categories), "
            "which is not supported yet"
        )
    raise ValueError(
        f"--to {to}: a model of the task {trained.name} is run in several calls (encoder, then steps), not as one "
        "program; export language models, classifiers, taggers or numeric models"
    )
