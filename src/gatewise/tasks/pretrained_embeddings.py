"""Vectors from a file as the first weights of an embedding."""

import dataclasses
from typing import Any, TypeVar

import torch
from torch import Tensor

from gatewise.data.tokens import TokenVocabulary
from gatewise.models.pretrained import initialise_embedding
from gatewise.models.token_embedding import FeaturedEmbedding, TokenEmbedding
from gatewise.progress import say
from gatewise.tasks.sequence_options import TokenOptions

Options = TypeVar("Options", bound=TokenOptions)


def with_vectors(options: Options, vocabulary: object) -> tuple[Options, tuple[Tensor, Tensor] | None]:
    """The options with the width that the file of vectors has, and the vectors; None without a file.

    Raises:
        ValueError: when the file is malformed, or has none of the words.
        OSError: when it cannot be read.
    """
    if options.embedding is None:
        return options, None
    assert isinstance(vocabulary, TokenVocabulary)
    from gatewise.embeddings import load_embedding

    if not options.embedding.exists():
        raise ValueError(
            f"embedding: expected a file of word vectors, and there is no {options.embedding}; the width of an "
            "embedding is embedding_size"
        )
    matrix, found, coverage = load_embedding(options.embedding, vocabulary.tokens)
    say(str(coverage))
    if not found.any():
        raise ValueError(f"embedding: {options.embedding} has none of the words of the data; is it of their language?")
    width = matrix.shape[1]
    if options.embedding_size not in (None, width):
        raise ValueError(
            f"embedding_size: {options.embedding_size} is asked for, but the vectors of {options.embedding} have "
            f"{width} components; leave embedding_size out"
        )
    return dataclasses.replace(options, embedding_size=width), (
        torch.from_numpy(matrix),
        torch.from_numpy(found),
    )


def set_vectors(model: Any, vectors: tuple[Tensor, Tensor] | None, *, freeze: bool) -> None:
    """Put the vectors that were found into the embedding of tokens.

    Args:
        model: the model, whose first layer is ``steps``.
        vectors: (V, E), and which of them were found, (V,) bool; None to leave the weights as they are.
        freeze: leave the whole embedding as it is in training.
    """
    if vectors is None and not freeze:
        return
    steps = model.steps
    embedding = steps.tokens if isinstance(steps, FeaturedEmbedding) else steps
    assert isinstance(embedding, TokenEmbedding)
    if vectors is not None:
        initialise_embedding(embedding.embedding, *vectors)
    embedding.embedding.weight.requires_grad_(not freeze)
