"""Sequence to sequence: an encoder and a decoder."""

from torch import Tensor, nn

from gatewise.models.decoder import Decoder, Start
from gatewise.models.encoder import Encoder


class SequenceToSequence(nn.Module):
    """Features for each target token, given a source (Sutskever et al. 2014, arXiv:1409.3215).

    Args:
        embedding: the embedding of source tokens.
        encoder: encodes the source.
        decoder: generates the target; may share the embedding.

    >>> import torch
    >>> encoder = Encoder("gru_cudnn", 4, 6, bidirectional=True)
    >>> decoder = Decoder(nn.Embedding(9, 4), "gru_cudnn", 5, 1, memory_size=12, final_size=12)
    >>> model = SequenceToSequence(nn.Embedding(8, 4), encoder, decoder)
    >>> source, answer = torch.zeros(7, 2, dtype=torch.int64), torch.zeros(3, 2, dtype=torch.int64)
    >>> features, weights = model((source, answer, torch.tensor([3, 1])), torch.tensor([7, 4]))
    >>> features.shape, weights.shape
    (torch.Size([3, 2, 4]), torch.Size([3, 2, 7]))
    """

    def __init__(self, embedding: nn.Embedding, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        # A shared embedding belongs to the decoder alone, so that its weights are saved once.
        self.source_embedding = None if embedding is decoder.embedding else embedding
        self.encoder = encoder
        self.decoder = decoder

    @property
    def embedding(self) -> nn.Embedding:
        """The embedding of source tokens."""
        return self.decoder.embedding if self.source_embedding is None else self.source_embedding

    def begin(self, source: Tensor, lengths: Tensor) -> Start:
        """Encode sources (S, B) int64 of lengths (B,), each at least 1."""
        output, final = self.encoder(self.embedding(source), lengths)
        return self.decoder.begin(output, final, lengths)

    def forward(self, inputs: tuple[Tensor, ...], lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Encode sources and run the decoder over known targets.

        Args:
            inputs: sources (S, B); target tokens shifted right (T, B); target lengths (B,).
            lengths: the lengths of the sources, (B,).

        Returns:
            the features of each target token (T, B, E), and the weights of attention (T, B, S) or None.
        """
        source, tokens, token_counts = inputs
        return self.decoder(tokens, token_counts, self.begin(source, lengths))
