"""Sequence to sequence: an encoder that reads, a decoder that writes."""

from torch import Tensor, nn

from gatewise.models.decoder import Decoder, Start
from gatewise.models.encoder import Encoder


class SequenceToSequence(nn.Module):
    """What stands at each step of an answer, given a source (Sutskever et al. 2014, arXiv:1409.3215).

    Args:
        embedding: of the source's tokens.
        encoder: reads them.
        decoder: writes; its embedding may be the same.

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
        # What both share is the decoder's alone, so that its weights are kept once.
        self.source_embedding = None if embedding is decoder.embedding else embedding
        self.encoder = encoder
        self.decoder = decoder

    @property
    def embedding(self) -> nn.Embedding:
        """Of the source's tokens."""
        return self.decoder.embedding if self.source_embedding is None else self.source_embedding

    def begin(self, source: Tensor, lengths: Tensor) -> Start:
        """Read sources (S, B) int64 of lengths (B,), each at least 1."""
        output, final = self.encoder(self.embedding(source), lengths)
        return self.decoder.begin(output, final, lengths)

    def forward(self, inputs: tuple[Tensor, ...], lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Read sources, and answers that are known.

        Args:
            inputs: the sources (S, B); the answers' tokens (T, B), each one step late; the answers' lengths (B,).
            lengths: those of the sources, (B,).

        Returns:
            what each token of the answer is read from, (T, B, E), and the weights of attention (T, B, S) or None.
        """
        source, tokens, token_counts = inputs
        return self.decoder(tokens, token_counts, self.begin(source, lengths))
