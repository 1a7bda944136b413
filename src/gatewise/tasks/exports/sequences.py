"""Classifiers, taggers and networks on numbers as programs."""

from torch import Tensor, nn

from gatewise.models.category_embedding import CategoryEmbedding
from gatewise.models.classifier import Classifier
from gatewise.models.spelling import CharacterConvolution, CharacterRecurrent
from gatewise.models.tagger import Tagger
from gatewise.models.token_embedding import FeaturedEmbedding, TokenEmbedding
from gatewise.models.viterbi import viterbi
from gatewise.tasks.exports.program import Input, Program, chosen, embedded_width, lengths, tokens
from gatewise.tasks.exports.streams import SequenceStream


class _Scores(nn.Module):
    """The scores of sequences; with a conditional random field those of its transitions too, and the best tags."""

    def __init__(self, model: Classifier | Tagger) -> None:
        super().__init__()
        self.model = model

    def forward(self, *tensors: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        *inputs, counts = tensors
        scores = self.model(tuple(inputs), counts)
        field = self.model.transitions if isinstance(self.model, Tagger) else None
        if field is None:
            return scores
        table = field.table(scores.dtype)
        return scores, table, viterbi(scores, table, counts)


def sequence_program(model: Classifier | Tagger) -> Program:
    """A program from whole sequences to their scores."""
    outputs = ("scores", "transitions", "tags") if isinstance(model, Tagger) and model.transitions else ("scores",)
    return Program(_Scores(model), (*_inputs(model, ("steps", "rows")), lengths()), outputs)


def sequence_stream(model: Classifier | Tagger) -> Program:
    """A program of one step.

    Raises:
        ValueError: for a model that needs steps to come.
    """
    if model.encoder.recurrent.bidirectional:
        raise ValueError("this model reads sequences from both ends, so no step has scores before the last is known")
    if isinstance(model, Classifier) and model.pooling.kind != "last":
        raise ValueError(
            f"this model pools all steps ({model.pooling.kind}), which a step with states alone cannot; "
            "train with --pooling last"
        )
    if isinstance(model, Tagger) and model.transitions is not None:
        raise ValueError("the conditional random field of this model decides on whole sequences")
    stream = SequenceStream(model, model.encoder.recurrent)
    return Program(stream, (*_inputs(model, ("rows",)), *stream.state_inputs), ("scores", *stream.state_outputs))


def _inputs(model: Classifier | Tagger, sizes: tuple[str, ...]) -> tuple[Input, ...]:
    """The inputs of a model for each of its steps."""
    steps = model.steps
    if isinstance(steps, CategoryEmbedding):
        numbers = Input("inputs", (*sizes, steps.width - embedded_width(steps)))
        return numbers, chosen("categories", sizes, steps.categories)
    if isinstance(steps, FeaturedEmbedding):
        first, *spelled = _token_inputs(steps.tokens, sizes)
        return first, chosen("features", sizes, steps.features), *spelled
    if isinstance(steps, TokenEmbedding):
        return _token_inputs(steps, sizes)
    return (Input("inputs", (*sizes, model.encoder.recurrent.input_size)),)


def _token_inputs(embedding: TokenEmbedding, sizes: tuple[str, ...]) -> tuple[Input, ...]:
    whole = tokens("inputs", sizes, embedding.embedding.num_embeddings)
    of_words: CharacterConvolution | CharacterRecurrent | None = embedding.spelling
    if of_words is None:
        return (whole,)
    return (
        whole,
        tokens("characters", ("characters", "words"), of_words.embedding.num_embeddings),
        lengths("word_lengths", "words", "characters"),
        Input("word_index", sizes, lambda sizes: (0, sizes["words"] - 1)),
    )
