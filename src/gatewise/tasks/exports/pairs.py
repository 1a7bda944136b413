"""Sequence to sequence as two programs: the encoder, and one step of the decoder."""

from collections.abc import Sequence

from torch import Tensor, nn

from gatewise.layers.validation import State
from gatewise.models.attention import Memory
from gatewise.models.decoder import state_tensors
from gatewise.models.encoder import length_mask
from gatewise.models.sequence_to_sequence import SequenceToSequence
from gatewise.tasks.exports.program import Input, Program, lengths, tokens
from gatewise.tasks.exports.streams import Stream


class _Encoder(nn.Module):
    """What the decoder begins with: the memory of the source, and its initial states."""

    def __init__(self, model: SequenceToSequence) -> None:
        super().__init__()
        self.model = model

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        source, counts = tensors
        memory, state = self.model.begin(source, counts)
        attention = self.model.decoder.attention
        if memory is None or attention is None:
            return state_tensors(state)
        seen = (memory.values,) if attention.key is None else (memory.values, memory.keys)
        return *seen, *state_tensors(state)


class _Decoder(Stream):
    """Scores of the next token."""

    model: SequenceToSequence

    def step(self, inputs: Sequence[Tensor], state: State) -> tuple[Tensor, State]:
        token, *seen = inputs
        memory = None
        if seen:
            values, *keys, counts = seen
            memory = Memory(values, keys[0] if keys else values, length_mask(values.shape[0], counts).t()[:, None])
        scores, state = self.model.decoder.step(token[None], memory, state)
        return scores[0], state


def pair_programs(model: SequenceToSequence) -> tuple[Program, Program]:
    """The programs ``encoder`` and ``decoder``."""
    decoder = model.decoder
    stream = _Decoder(model, decoder.recurrent)
    states = stream.state_inputs
    memory: tuple[Input, ...] = ()
    if decoder.attention is not None:
        widths = {"values": model.encoder.width}
        if decoder.attention.key is not None:
            widths["keys"] = decoder.attention.key.out_features
        memory = tuple(Input(name, ("steps", "rows", width)) for name, width in widths.items())
    source = tokens("source", ("steps", "rows"), model.embedding.num_embeddings)
    encoder = Program(_Encoder(model), (source, lengths()), tuple(one.name for one in (*memory, *states)), "encoder")
    token = tokens("token", ("rows",), decoder.embedding.num_embeddings)
    seen = (*memory, lengths()) if memory else ()
    step = Program(stream, (token, *seen, *states), ("scores", *stream.state_outputs), "decoder")
    return encoder, step
