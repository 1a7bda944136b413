"""Models as programs of one step with explicit states."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gatewise.layers import Recurrent
from gatewise.layers.validation import State
from gatewise.models.classifier import Classifier
from gatewise.models.decoder import as_state, state_tensors
from gatewise.models.language_model import LanguageModel
from gatewise.models.tagger import Tagger
from gatewise.tasks.exports.program import Input


class Stream(nn.Module):
    """One step of a model; the states are the last inputs, and outputs after the first.

    Args:
        model: the model.
        recurrent: its layers.
    """

    def __init__(self, model: nn.Module, recurrent: Recurrent) -> None:
        super().__init__()
        self.model = model
        with torch.no_grad():
            parameter = next(recurrent.parameters())
            _, state = recurrent.step(parameter.new_zeros(1, recurrent.input_size))
        self.sizes = [(one.shape[0], one.shape[2]) for one in state_tensors(state)]

    @property
    def state_inputs(self) -> tuple[Input, ...]:
        """The states."""
        return tuple(
            Input(name, (layers, "rows", hidden))
            for name, (layers, hidden) in zip(state_names("state", len(self.sizes)), self.sizes, strict=True)
        )

    @property
    def state_outputs(self) -> list[str]:
        """The names of the states after the step."""
        return state_names("new_state", len(self.sizes))

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        count = len(self.sizes)
        output, state = self.step(tensors[:-count], as_state(tensors[-count:]))
        return output, *state_tensors(state)

    def step(self, inputs: Sequence[Tensor], state: State) -> tuple[Tensor, State]:
        """The output for the inputs of one step, and the new state."""
        raise NotImplementedError


class LanguageModelStream(Stream):
    """Scores of the token after each."""

    model: LanguageModel

    def step(self, inputs: Sequence[Tensor], state: State) -> tuple[Tensor, State]:
        (tokens,) = inputs
        return self.model.step(tokens, state)


class SequenceStream(Stream):
    """Scores of each step, or of the sequence as far as it is known."""

    model: Classifier | Tagger

    def step(self, inputs: Sequence[Tensor], state: State) -> tuple[Tensor, State]:
        x = self.model.steps(*(one[None] for one in inputs))[0]
        if isinstance(self.model, Tagger):
            return self.model.step(x, state)
        output, state = self.model.encoder.recurrent.step(x, state)
        return self.model.read_out(output), state


def state_names(name: str, count: int) -> list[str]:
    """Names of the states of a cell that has ``count``."""
    return [name] if count == 1 else [f"{name}_{index}" for index in range(count)]
