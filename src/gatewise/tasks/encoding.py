"""The encoder that the options describe."""

from gatewise.models.encoder import Encoder
from gatewise.tasks.cells import cell_of
from gatewise.tasks.initial_weights import recurrent_init, regularisation_of
from gatewise.tasks.sequence_options import EncoderOptions


def make_encoder(
    options: EncoderOptions, input_size: int, *, drop_input: bool = True, hidden_size: int | None = None
) -> Encoder:
    """The recurrent layers, over steps of a width I; numbers that were measured are not dropped from.

    The width of the state is that of the options unless given.
    """
    return Encoder(
        cell_of(options.cell),
        input_size,
        hidden_size or options.hidden,
        options.layers,
        bidirectional=options.bidirectional,
        merge=options.merge,
        dropout=options.dropout,
        drop_input=drop_input,
        init=recurrent_init(options),
        regularisation=regularisation_of(options),
    )
