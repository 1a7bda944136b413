"""Streaming: a layer run step by step."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from torch import Tensor, bfloat16

from gatewise.kernels import PackedWeights
from gatewise.kernels.masks import Masks
from gatewise.layers.base import RecurrentBase
from gatewise.layers.fast_path import plain_step
from gatewise.layers.validation import State


class Stream(Iterator[Tensor]):
    """An iterator over the outputs of a layer, one per input step; created by `Recurrent.stream`.

    Like any iterator it is for one thread; several streams may run on one layer concurrently, each with its own state.
    In inference each packs the layer's weights at its first step and keeps them until `Recurrent.refresh`. A layer of
    bfloat16 has outputs of bfloat16; its states are carried as float32, as within a sequence.
    """

    def __init__(
        self,
        layer: RecurrentBase,
        step: Callable[..., tuple[Tensor, State]],
        inputs: Iterable[Tensor],
        state: State | None,
        reset: Iterable[Tensor | None] | None,
        mask: Iterable[Tensor | None] | None = None,
    ) -> None:
        self._layer, self._step = layer, step
        self._inputs = check_iterable("inputs", inputs)
        self._reset = None if reset is None else check_iterable("reset", reset)
        self._mask = None if mask is None else check_iterable("mask", mask)
        self._state = _carried(state)
        # States that only this stream has seen are written to in turns: allocation takes as long as the arithmetic.
        self._own_state = False
        self._spare: tuple[Tensor, ...] | None = None
        self._packed, self._generation = PackedWeights(), layer._generation
        self._masks, self._training = layer._drawn_masks(), layer.training

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Tensor:
        x_t = next(self._inputs)
        reset = None if self._reset is None else _next_flags("reset", self._reset)
        mask = None if self._mask is None else _next_flags("mask", self._mask)
        layer, done = self._layer, None
        if self._generation != layer._generation:
            self._packed, self._generation = PackedWeights(), layer._generation
        unmasked = self._masks is None and self._training == layer.training
        masks = None if unmasked else self._next_masks()
        if mask is None and isinstance(x_t, Tensor):
            done = plain_step(layer, x_t, self._state, reset, self._packed, self._spare, masks)
        before = self._state
        if done is None:
            output, self.state = self._step(x_t, before, reset=reset, mask=mask, masks=masks, carried=True)
            return output
        if self._own_state and before is not None:
            self._spare = before if isinstance(before, tuple) else (before,)
        self._own_state = True
        output, self._state = done
        return output

    def _next_masks(self) -> Masks | None:
        """The masks of the next step: of the seed of the stream, or of another one if the mode of the layer changed."""
        if self._training != self._layer.training:
            self._masks, self._training = self._layer._drawn_masks(), self._layer.training
        masks = self._masks
        self._masks = None if masks is None else masks.later(1)
        return masks

    @property
    def state(self) -> State | None:
        """The current state, as returned by `Recurrent.step`; None is zero.

        It is a copy, which later steps do not modify. Assign a state to continue from it, or None to start from zero.
        """
        state = self._state
        dtype: Any = getattr(self._layer, self._layer._all_names[0]).dtype
        if isinstance(state, Tensor):
            return state.to(dtype, copy=True)
        return None if state is None else tuple([one.to(dtype, copy=True) for one in state])

    @state.setter
    def state(self, state: State | None) -> None:
        self._state, self._own_state, self._spare = _carried(state), False, None


def _carried(state: State | None) -> State | None:
    """A state as a stream carries it: of bfloat16 as float32."""
    if isinstance(state, Tensor):
        return state.float() if state.dtype is bfloat16 else state
    return tuple([one.float() if one.dtype is bfloat16 else one for one in state]) if type(state) is tuple else state


def check_iterable(name: str, values: Iterable[Any]) -> Iterator[Any]:
    """An iterator of an argument of a stream.

    Raises:
        TypeError: for a value that is not iterable.
    """
    try:
        return iter(values)
    except TypeError:
        kind = "a tensor without dimensions" if isinstance(values, Tensor) else type(values).__name__
        x_t, flags = "x_t, (B, I) or (I,), such as a tensor (T, B, I)", "flags, (B,) bool, such as a tensor (T, B)"
        expected = x_t if name == "inputs" else flags
        raise TypeError(f"{name}: expected an iterable of {expected}, got {kind}") from None


def _next_flags(name: str, flags: Iterator[Tensor | None]) -> Tensor | None:
    try:
        return next(flags)
    except StopIteration:
        raise ValueError(
            f"{name}: expected flags for every step, got fewer than there are steps; "
            f"pass (B,) bool, or None, for each, or {name}=None"
        ) from None
