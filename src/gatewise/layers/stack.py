"""A stack of layers of different widths and cells."""

import inspect
import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Never, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from gatewise.kernels import Choice, Precision
from gatewise.layers.base import RecurrentBase
from gatewise.layers.keywords import unknown_keyword, with_known_keywords
from gatewise.layers.recurrent import ARGUMENTS, STEP_ARGUMENTS, Output, Recurrent
from gatewise.layers.regularisation import check_probability
from gatewise.layers.streaming import Stream, check_iterable
from gatewise.layers.validation import State

StackState = tuple[State, ...]


class Stack(nn.Module):
    """Layers one on top of the other, of any widths and cells, called as one layer.

    The state is a tuple with the state of each layer, from the lowest: for an LSTM below a GRU ``((h, c), h)``. In
    ``state_dict`` the parameters of the first layer are ``0.weight_ih_l0`` and so on.

    Args:
        layers: the layers from the lowest; each reads the output of the one below, so that its input_size is the width
            of that output. All have the same batch_first.
        dropout: probability of dropping an output of every layer but the last, in training.
        return_state: False: a call returns the output alone rather than (output, state).

    Raises:
        TypeError, ValueError: for something that is not a layer, or layers that do not fit.

    >>> import torch, gatewise
    >>> stack = gatewise.Stack([gatewise.BiLSTM(3, 8, merge="sum"), gatewise.GRU(8, 4)], dropout=0.1)
    >>> output, ((h, c), h_gru) = stack(torch.randn(7, 2, 3), lengths=torch.tensor([7, 5]))
    >>> output.shape, c.shape, h_gru.shape
    (torch.Size([7, 2, 4]), torch.Size([2, 2, 8]), torch.Size([1, 2, 4]))
    """

    def __init__(
        self, layers: Iterable[Recurrent], dropout: float = 0.0, *, return_state: bool = True, **unknown: Never
    ) -> None:
        if unknown:
            of_layers = tuple(inspect.signature(RecurrentBase.__init__).parameters)[1:]
            raise unknown_keyword("Stack", next(iter(unknown)), ("layers", "dropout", "return_state"), of_layers)
        super().__init__()
        check_probability("dropout", dropout)
        if not isinstance(return_state, bool):
            raise TypeError(f"return_state: expected True or False, got {return_state!r}")
        given = _checked(layers)
        for index, layer in enumerate(given):
            self.add_module(str(index), layer)
        self.dropout, self.return_state = float(dropout), return_state

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Recurrent]:
        return cast("Iterator[Recurrent]", iter(self._modules.values()))

    def __getitem__(self, index: int) -> Recurrent:
        return list(self)[index]

    @property
    def batch_first(self) -> bool:
        """Whether input, output, reset and mask are (B, T, …)."""
        return self[0].batch_first

    @property
    def input_size(self) -> int:
        """I, the width of a step of the input."""
        return self[0].input_size

    @property
    def output_size(self) -> int:
        """The width of a step of the output; of each part where the last layer does not merge."""
        return self[-1].output_size

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Sequence[State | None] | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        mask: Tensor | None = None,
        enforce_sorted: bool = False,
        **unknown: Never,
    ) -> tuple[Output, StackState]:
        """Run all layers over sequences; the arguments are those of `Recurrent.forward`.

        Args:
            input: as of a layer.
            hx: for each layer its initial state, or None for zero; None is zero for all.
            lengths, reset, mask: as of a layer; they apply to every layer.
            enforce_sorted: without effect, as of a layer.

        Returns:
            The output of the last layer, and the final state of each; where layers return their states after every step
            (``return_states=True``), a tuple with those of each layer third, None for others.

        Raises:
            TypeError, ValueError: as of a layer.
        """
        if unknown:
            raise unknown_keyword("Stack.forward", next(iter(unknown)), ARGUMENTS)
        output: Any = input
        states: list[State] = []
        sequences: list[State | None] = []
        for index, (layer, state) in enumerate(zip(self, self._states("hx", hx), strict=True)):
            if index:
                output = self._dropped(output)
            output, final, *further = layer(output, state, lengths=lengths, reset=reset, mask=mask)
            states.append(final)
            sequences.append(further[0] if further else None)
        if not self.return_state:
            return cast("tuple[Output, StackState]", output)
        if all(one is None for one in sequences):
            return output, tuple(states)
        return cast("tuple[Output, StackState]", (output, tuple(states), tuple(sequences)))

    def step(
        self,
        x_t: Tensor,
        state: Sequence[State | None] | None = None,
        *,
        reset: Tensor | None = None,
        mask: Tensor | None = None,
        **unknown: Never,
    ) -> tuple[Tensor, StackState]:
        """Run one step of a stream; see `Recurrent.step`.

        Raises:
            ValueError: when a direction of a layer reads from the end.
        """
        if unknown:
            raise unknown_keyword("Stack.step", next(iter(unknown)), STEP_ARGUMENTS)
        self._check_steps("step")
        states: list[State] = []
        for index, (layer, before) in enumerate(zip(self, self._states("state", state), strict=True)):
            x_t, after = layer.step(self._dropped(x_t) if index else x_t, before, reset=reset, mask=mask)
            states.append(after)
        return x_t, tuple(states)

    @with_known_keywords
    def stream(
        self,
        inputs: Iterable[Tensor],
        state: Sequence[State | None] | None = None,
        *,
        reset: Iterable[Tensor | None] | None = None,
        mask: Iterable[Tensor | None] | None = None,
    ) -> "StackStream":
        """Run over a stream; see `Recurrent.stream`.

        Raises:
            ValueError, TypeError: as `Recurrent.stream`.

        >>> import torch, gatewise
        >>> stack = gatewise.Stack([gatewise.LSTM(3, 8), gatewise.GRU(8, 4)])
        >>> with torch.no_grad():
        ...     outputs = [y_t for y_t in stack.stream(torch.randn(5, 3))]
        >>> len(outputs), outputs[0].shape
        (5, torch.Size([4]))
        """
        self._check_steps("stream")
        return StackStream(self, inputs, self._states("state", state), reset, mask)

    @with_known_keywords
    def backend_for(
        self,
        input: Tensor | PackedSequence,
        hx: Sequence[State | None] | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Choice, ...]:
        """The backend that runs each layer on these arguments; see `Recurrent.backend_for`."""
        found: list[Choice] = []
        for index, (layer, state) in enumerate(zip(self, self._states("hx", hx), strict=True)):
            of_layer: Any = input if not index else _of_width(input, layer.input_size)
            found.append(layer.backend_for(of_layer, state, lengths=lengths, reset=reset, mask=mask))
        return tuple(found)

    @contextmanager
    def frozen(self, *, precision: Precision | None = None) -> Iterator[None]:
        """Declare that the weights do not change within a ``with`` block; see `Recurrent.frozen`."""
        with ExitStack() as stack:
            for layer in self:
                stack.enter_context(layer.frozen(precision=precision))
            yield

    def refresh(self) -> None:
        """Pack the weights of all layers again; see `Recurrent.refresh`."""
        for layer in self:
            layer.refresh()

    def reset_parameters(self) -> None:
        """Draw the initial weights of all layers again."""
        for layer in self:
            layer.reset_parameters()

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The parameters by layer and direction, as in `torch.nn`."""
        return [weights for layer in self for weights in layer.all_weights]

    def flatten_parameters(self) -> None:
        """Does nothing; exists for code written for `torch.nn`."""

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults, for ``repr``."""
        given = {"dropout": (self.dropout, 0.0), "return_state": (self.return_state, True)}
        return ", ".join(f"{name}={value!r}" for name, (value, default) in given.items() if value != default)

    def _states(self, name: str, states: Any) -> Sequence[State | None]:
        """The state of each layer.

        Raises:
            TypeError, ValueError: for something that is not a sequence, or of another length.
        """
        if states is None:
            return (None,) * len(self)
        if not isinstance(states, tuple | list):
            raise TypeError(f"{name}: expected a tuple with the state of each layer, got {type(states).__name__}")
        if len(states) != len(self):
            raise ValueError(f"{name}: expected a tuple with the states of {len(self)} layers, got {len(states)}")
        return states

    def _dropped(self, output: Any) -> Any:
        if not (self.dropout and self.training):
            return output
        if isinstance(output, PackedSequence):
            return output._replace(data=functional.dropout(output.data, self.dropout))
        return functional.dropout(output, self.dropout)

    def _check_steps(self, name: str) -> None:
        for index, layer in enumerate(self):
            if layer.bidirectional or layer.reverse:
                raise ValueError(f"{name}: layer {index} reads from the end and cannot run step by step")


class StackStream(Iterator[Tensor]):
    """An iterator over the outputs of a `Stack`, one per input step; created by `Stack.stream`."""

    def __init__(
        self,
        stack: Stack,
        inputs: Iterable[Tensor],
        states: Sequence[State | None],
        reset: Iterable[Tensor | None] | None,
        mask: Iterable[Tensor | None] | None,
    ) -> None:
        for name, flags in {"reset": reset, "mask": mask}.items():
            if flags is not None:
                check_iterable(name, flags)
        count = len(stack)
        resets, masks = ((None,) * count if one is None else itertools.tee(one, count) for one in (reset, mask))
        self._streams: list[Stream] = []
        for index, (layer, state) in enumerate(zip(stack, states, strict=True)):
            values = map(stack._dropped, self._streams[-1]) if index else inputs
            self._streams.append(layer.stream(values, state, reset=resets[index], mask=masks[index]))

    def __next__(self) -> Tensor:
        return next(self._streams[-1])

    @property
    def state(self) -> tuple[State | None, ...] | None:
        """The current state of each layer, or None for zero, as returned by `Stack.step`; can be assigned."""
        states = tuple([stream.state for stream in self._streams])
        return None if all(state is None for state in states) else states

    @state.setter
    def state(self, states: Sequence[State | None] | None) -> None:
        for stream, state in zip(
            self._streams, (None,) * len(self._streams) if states is None else states, strict=True
        ):
            stream.state = state


def _checked(layers: Any) -> list[Recurrent]:
    """The layers of a stack.

    Raises:
        TypeError, ValueError: when they are not layers, or do not fit.
    """
    if isinstance(layers, nn.Module) and not isinstance(layers, nn.ModuleList):
        raise TypeError(f"layers: expected a list of layers, got one {type(layers).__name__}; pass [layer, …]")
    try:
        given: list[Any] = list(layers)
    except TypeError:
        raise TypeError(f"layers: expected a list of layers, got {type(layers).__name__}") from None
    if not given:
        raise ValueError("layers: expected at least one layer, got none")
    for index, layer in enumerate(given):
        if not isinstance(layer, Recurrent):
            raise TypeError(f"layers: expected gatewise layers, got {type(layer).__name__} at {index}")
        if not layer.return_state:
            raise ValueError(f"layers: expected layers that return their state, got return_state=False at {index}")
        if layer.batch_first != given[0].batch_first:
            raise ValueError(f"layers: expected the same batch_first in all, got {layer.batch_first} at {index}")
        if layer is not given[-1] and layer.merge is None:
            raise ValueError(f"layers: merge=None returns a pair, which the layer above {index} cannot read")
        if index and layer.input_size != given[index - 1].output_size:
            raise ValueError(
                f"layers: expected input_size={given[index - 1].output_size} at {index}, the width of the output of "
                f"the layer below, got {layer.input_size}"
            )
    return given


def _of_width(input: Any, width: int) -> Any:
    """Zeros like an input, of another width."""
    if isinstance(input, PackedSequence):
        return input._replace(data=input.data.new_zeros(input.data.shape[0], width))
    if input.is_nested:
        return torch.nested.nested_tensor_from_jagged(
            input.values().new_zeros(input.values().shape[0], width), input.offsets(), input.lengths()
        )
    return input.new_zeros(*input.shape[:-1], width)
