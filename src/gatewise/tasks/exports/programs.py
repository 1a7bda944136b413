"""The model of a run as programs of tensors."""

from torch import Tensor, nn

from gatewise.models.classifier import Classifier
from gatewise.models.language_model import LanguageModel
from gatewise.models.sequence_to_sequence import SequenceToSequence
from gatewise.models.tagger import Tagger
from gatewise.tasks.exports.forecasts import forecast_program
from gatewise.tasks.exports.pairs import pair_programs
from gatewise.tasks.exports.program import Program, tokens
from gatewise.tasks.exports.sequences import sequence_program, sequence_stream
from gatewise.tasks.exports.streams import LanguageModelStream
from gatewise.tasks.forecasting.trained import TrainedForecaster
from gatewise.tasks.trained import Trained


class _NextToken(nn.Module):
    """Scores of next tokens, from a zero state."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *tensors: Tensor) -> Tensor:
        return self.model(*tensors)[0]


def programs_of(trained: Trained, *, streaming: bool) -> tuple[Program, ...]:
    """The programs of a model: one, or for sequence to sequence the encoder and a step of the decoder.

    Args:
        trained: the run.
        streaming: one step with explicit states instead of whole sequences.

    Raises:
        ValueError: for a model that has no such program.
    """
    model = trained.model
    if isinstance(model, LanguageModel):
        return (_language_model(model, streaming=streaming),)
    if isinstance(model, Classifier | Tagger):
        return (sequence_stream(model) if streaming else sequence_program(model),)
    if isinstance(trained, TrainedForecaster):
        return (forecast_program(trained.predictor, streaming=streaming),)
    if isinstance(model, SequenceToSequence):
        if streaming:
            raise ValueError("the decoder of a seq2seq model is exported as one step with states already")
        return pair_programs(model)
    raise ValueError(f"models of the task {trained.name} ({type(model).__name__}) have no program to export")


def _language_model(model: LanguageModel, *, streaming: bool) -> Program:
    size = model.embedding.num_embeddings
    if not streaming:
        return Program(_NextToken(model), (tokens("inputs", ("steps", "rows"), size),), ("scores",))
    stream = LanguageModelStream(model, model.recurrent)
    given = (tokens("inputs", ("rows",), size), *stream.state_inputs)
    return Program(stream, given, ("scores", *stream.state_outputs))
