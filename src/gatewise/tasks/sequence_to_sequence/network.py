"""The network of a run, what comes of a batch, and the answers of a trained one."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gatewise.data.batches import Batch, RaggedBatches, padded
from gatewise.data.row_tensors import lengths_of
from gatewise.data.streams import NO_TARGET
from gatewise.models.beam_search import Hypothesis, beam_search
from gatewise.models.decoder import Decoder
from gatewise.models.encoder import Encoder
from gatewise.models.sequence_to_sequence import SequenceToSequence
from gatewise.models.vocabulary_loss import vocabulary_loss
from gatewise.progress import tracked
from gatewise.tasks.batch_statistics import BatchStatistics
from gatewise.tasks.cells import cell_of
from gatewise.tasks.encoding import make_encoder
from gatewise.tasks.initial_weights import initialised, recurrent_init, regularisation_of
from gatewise.tasks.sequence_to_sequence.options import SequenceToSequenceOptions
from gatewise.tasks.sequence_to_sequence.text_side import TextSide


def make_model(options: SequenceToSequenceOptions, source: TextSide, target: TextSide) -> SequenceToSequence:
    """The model that the options describe, with its initial weights.

    Raises:
        ValueError: when attention does not suit the widths.
    """
    embedding = _embedding(source, options.embedding_size)
    encoder: Encoder = make_encoder(options, options.embedding_size, hidden_size=options.encoder_hidden)
    decoder = Decoder(
        embedding if target is source else _embedding(target, options.embedding_size),
        cell_of(options.decoder_cell or options.cell),
        options.hidden,
        options.layers,
        memory_size=encoder.width,
        final_size=encoder.final_width,
        attention=options.attention,
        dropout=options.dropout,
        init=recurrent_init(options),
        regularisation=regularisation_of(options),
        tie=options.tie,
    )
    return initialised(SequenceToSequence(embedding, encoder, decoder), options)


def _embedding(side: TextSide, size: int) -> nn.Embedding:
    embedding = nn.Embedding(side.size, size)
    nn.init.uniform_(embedding.weight, -(size**-0.5), size**-0.5)
    return embedding


def make_batches(
    sources: Sequence[Tensor], targets: Sequence[Tensor], steps: int, seed: int | None = None
) -> RaggedBatches:
    """Sources and targets, each with its end, in batches of `steps` tokens."""

    def make(indices: list[int]) -> Batch:
        chosen = [targets[index] for index in indices]
        # Each token is predicted from the one before; the end token precedes the first.
        before = [torch.cat((answer[-1:], answer[:-1])) for answer in chosen]
        counts = torch.tensor([len(answer) for answer in chosen])
        source, lengths = padded_sources([sources[index] for index in indices])
        return Batch((source, padded(before), counts), lengths, padded(chosen, NO_TARGET))

    return RaggedBatches(lengths_of(sources) + lengths_of(targets), make, steps=steps, seed=seed)


def padded_sources(sources: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Sources as one tensor (S, B), and their lengths (B,)."""
    return padded(sources), torch.tensor([len(source) for source in sources])


def statistics_of(model: SequenceToSequence, smoothing: float) -> Callable[[Batch], BatchStatistics]:
    """What comes of a batch: the cross entropy of its tokens, and the number of correct ones."""

    def statistics(batch: Batch) -> BatchStatistics:
        features, _ = model(batch.inputs, batch.lengths)
        valid = batch.targets != NO_TARGET
        decoder = model.decoder
        loss = vocabulary_loss(features[valid], decoder.weight, decoder.b_y, batch.targets[valid], smoothing)
        count = int(batch.inputs[2].sum())
        return BatchStatistics(loss.loss_sum, count, int(loss.correct), count, loss.objective)

    return statistics


def search_answers(
    model: SequenceToSequence,
    sources: Sequence[Tensor],
    end: int,
    *,
    beam: int,
    longest: int,
    penalty: float,
    steps: int = 4000,
) -> list[list[Hypothesis]]:
    """The best answers to each source, in their order, in batches of `steps` source tokens."""
    found: list[list[Hypothesis]] = [[]] * len(sources)
    batches = RaggedBatches(lengths_of(sources), list, steps=max(1, steps // beam))
    with torch.no_grad(), model.decoder.recurrent.frozen():
        for indices in tracked(batches, "searching for answers", "texts", size=len):
            start = model.begin(*padded_sources([sources[index] for index in indices]))
            answers = beam_search(model.decoder, start, end, width=beam, max_length=longest, penalty=penalty)
            for index, answer in zip(indices, answers, strict=True):
                found[index] = answer
    return found
