"""Truncated back-propagation through time, over sequences and endless streams."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from gatewise.layers.recurrent import Recurrent
from gatewise.layers.row_lengths import Lengths, row_lengths


@dataclass
class _Carried:
    """The states that windows start from, by the step before which they stand."""

    states: dict[int, Any] = field(default_factory=dict)


@dataclass
class Window:
    """The steps that are run together, of which the last ones have losses.

    Attributes:
        begin, fresh, end: the steps are [begin, end) of the stream; [fresh, end) have losses, and each step is in the
            fresh part of one window alone.
        tensors: the fields of the stream, (end − begin, B, …) each; the first is the input.
        lengths: (B,) the valid steps of each row within the window, or None.
        reset: (end − begin, B) bool, or None.
        full: how many losses a window has on average, so that every loss weighs the same.
    """

    begin: int
    fresh: int
    end: int
    tensors: tuple[Tensor, ...]
    lengths: Tensor | None
    reset: Tensor | None
    full: float
    _next: int  # where the next window begins
    _carried: _Carried

    @property
    def input(self) -> Tensor:
        """The first field, whole."""
        return self.tensors[0]

    @property
    def targets(self) -> tuple[Tensor, ...]:
        """The other fields, at the steps that have losses, (end − fresh, B, …) each."""
        return tuple(one[self.fresh - self.begin :] for one in self.tensors[1:])

    @property
    def target(self) -> Tensor:
        """The second field, at the steps that have losses."""
        return self.targets[0]

    @property
    def valid(self) -> Tensor:
        """(end − fresh, B) bool, false in padding."""
        batch = self.input.shape[1]
        if self.lengths is None:
            return torch.ones((self.end - self.fresh, batch), dtype=torch.bool, device=self.input.device)
        steps = torch.arange(self.fresh - self.begin, self.end - self.begin, device=self.lengths.device)
        return steps[:, None] < self.lengths

    @property
    def weight(self) -> float:
        """How many losses the window has, over how many a window has on average: 1 but at ragged ends."""
        return int(self.valid.sum()) / self.full

    def run(self, model: Any, **options: Any) -> Tensor:
        """Run a model over the window, from the detached state that stands at its start.

        Args:
            model: called as ``model(x, state)``, with ``lengths`` and ``reset`` where the stream has them; returns
                (output, state), time first. A state is a tensor or any nest of tuples, lists and dicts of tensors, so
                a model of several layers hands over all of theirs; before the first step it is None.
            options: passed on.

        Returns:
            The output at the steps that have losses, (end − fresh, B, …).

        Raises:
            ValueError: when the window before was not run, or for a bidirectional layer, whose reverse direction would
                need what is still to come.
        """
        _check(model)
        if self.begin not in self._carried.states:
            raise ValueError("window: expected to be run after the window before it, whose states it goes on from")
        state = self._carried.states[self.begin]
        cuts = [self.begin, *([self._next] if self.begin < self._next < self.end else []), self.end]
        outputs: list[Tensor] = []
        for start, stop in pairwise(cuts):
            output, state = model(
                self.input[start - self.begin : stop - self.begin], state, **self._flags(start, stop), **options
            )
            outputs.append(output)
            # Of the graph nothing is kept: the next window starts from values.
            self._carried.states[stop] = tree_map(_detached, state)
        for step in list(self._carried.states):
            if step not in (self.begin, self._next):  # the same window may be run again
                del self._carried.states[step]
        whole = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return whole[self.fresh - self.begin :]

    def mean(self, losses: Tensor) -> Tensor:
        """One loss of those (end − fresh, B) of the window, padding left out.

        It is their sum over the number of losses that a window has on average, so that every step weighs the same,
        also in windows that are short or have rows at their end; over one window of everything it is the mean.
        """
        return torch.where(self.valid, losses, losses.new_zeros(())).sum() / self.full

    def to(self, device: torch.device | str, **options: Any) -> Self:
        """The window on another device; it stays the same for the windows after it."""
        self.tensors = tuple(one.to(device, **options) for one in self.tensors)
        self.reset = None if self.reset is None else self.reset.to(device, **options)
        self.lengths = None if self.lengths is None else self.lengths.to(device, **options)
        return self

    def _flags(self, start: int, stop: int) -> dict[str, Tensor]:
        flags: dict[str, Tensor] = {}
        if self.lengths is not None:
            flags["lengths"] = (self.lengths - (start - self.begin)).clamp(0, stop - start)
        if self.reset is not None:
            flags["reset"] = self.reset[start - self.begin : stop - self.begin]
        return flags


class TBPTT:
    """Truncated back-propagation through time: every k1 steps, back through the last k2.

    Every k1 steps the last k2 are run again with today's weights, from the detached state that was stored at their
    start; the losses of the last k1 alone are injected, so each counts once. This is BPTT(h; h′) of Williams & Peng
    1990 ("An efficient gradient-based algorithm for on-line training of recurrent network trajectories", Neural
    Computation 2(4)), h = k2 and h′ = k1. With k1 = k2 the windows follow each other and each is run once; with
    k1 = k2 = T this is back-propagation through the whole sequence. Memory is bound by k2.

    Args:
        k1: steps from one update to the next.
        k2: steps that the gradient goes back through, at least k1.

    Raises:
        ValueError, TypeError: for steps below 1, or k2 below k1.

    >>> import torch, gatewise
    >>> layer = gatewise.LSTM(3, 4)
    >>> optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
    >>> x, target = torch.randn(2, 100, 8, 3).unbind(0)
    >>> for window in gatewise.TBPTT(k1=10, k2=30).windows(x, target[..., :1].expand(-1, -1, 4)):
    ...     output = window.run(layer)
    ...     loss = window.mean((output - window.target).square().mean(dim=-1))
    ...     loss.backward()
    ...     optimiser.step()
    ...     optimiser.zero_grad()
    >>> output.shape
    torch.Size([10, 8, 4])
    """

    def __init__(self, k1: int, k2: int) -> None:
        for name, steps in (("k1", k1), ("k2", k2)):
            if isinstance(steps, bool) or not isinstance(steps, int):
                raise TypeError(f"{name}: expected a number of steps, got {steps!r}")
            if steps < 1:
                raise ValueError(f"{name}: expected at least 1 step, got {steps}")
        if k2 < k1:
            raise ValueError(
                f"k2: expected at least k1={k1} steps, got {k2}; losses of steps that the gradient does not "
                "reach would be lost"
            )
        self.k1, self.k2 = k1, k2

    def __repr__(self) -> str:
        return f"TBPTT(k1={self.k1}, k2={self.k2})"

    def windows(
        self, *tensors: Tensor, lengths: Lengths | None = None, reset: Tensor | None = None, state: Any = None
    ) -> Iterator[Window]:
        """The windows of a batch of sequences.

        Args:
            tensors: (T, B, …) each: the input, and what the losses need, as the targets.
            lengths: (B,) integers, the valid steps of each row.
            reset: (T, B) bool, as `Recurrent` takes it.
            state: what the model starts from; detached.

        Yields:
            Windows, to be run in this order.

        Raises:
            TypeError: for something that is not a tensor, or lengths that are not integers.
            ValueError: for tensors that do not fit together.
        """
        if not tensors:
            raise ValueError("windows: expected the input as a tensor (T, B, …), got nothing")
        named = [
            *((f"tensor {at}", one) for at, one in enumerate(tensors)),
            *([("reset", reset)] if reset is not None else []),
        ]
        for name, one in named:
            if not isinstance(one, Tensor):
                raise TypeError(f"{name}: expected a tensor (T, B, …), got {type(one).__name__}")
        shape = tensors[0].shape[:2]
        for name, one in named:
            if one.dim() < 2 or one.shape[:2] != shape:
                raise ValueError(
                    f"{name}: expected (T, B, …), the first two as the input's {tuple(shape)}, got {tuple(one.shape)}; "
                    "time stands first"
                )
        if shape[0] == 0:
            raise ValueError("windows: expected at least one step, got T=0")
        lengths = None if lengths is None else row_lengths(lengths, shape[1], tensors[0].device, shape[0])
        losses = int(shape.numel() if lengths is None else lengths.sum())
        # An average window has k1 / T of all losses.
        full = max(losses, 1) * min(self.k1, shape[0]) / shape[0]
        chunk = (*tensors, *(() if reset is None else (reset,)))
        return self._windows([chunk], len(tensors), lengths, full, state)

    def stream(self, chunks: Iterable[Sequence[Tensor]], *, state: Any = None, reset: bool = False) -> Iterator[Window]:
        """The windows of a stream that may never end.

        Args:
            chunks: the fields of some further steps, (t, B, …) each, in any portions; B is the same for all.
            state: what the model starts from; detached.
            reset: whether the last field of each chunk is the reset flags, (t, B) bool.

        Yields:
            Windows, to be run in this order; no more than k2 steps and a chunk are held.
        """
        return self._windows(chunks, None if not reset else -1, None, None, state)

    def _windows(
        self,
        chunks: Iterable[Sequence[Tensor]],
        fields: int | None,
        lengths: Tensor | None,
        full: float | None,
        state: Any,
    ) -> Iterator[Window]:
        carried = _Carried({0: tree_map(_detached, state)})
        held: deque[tuple[int, tuple[Tensor, ...]]] = deque()  # pieces of the stream, and where each begins
        known = done = 0

        def window(end: int) -> Window:
            # At a ragged end too a window begins where a state was stored.
            begin, after = max(0, done + self.k1 - self.k2), max(0, done + 2 * self.k1 - self.k2)
            parts = [_part(piece, at, begin, end) for at, piece in held if at < end and at + piece[0].shape[0] > begin]
            whole = tuple(one[0] if len(one) == 1 else torch.cat(one) for one in zip(*parts, strict=True))
            tensors = whole[:fields]
            return Window(
                begin,
                done,
                end,
                tensors,
                None if lengths is None else (lengths - begin).clamp(0, end - begin),
                whole[len(tensors)] if len(whole) > len(tensors) else None,
                self.k1 * whole[0].shape[1] if full is None else full,
                after,
                carried,
            )

        for chunk in chunks:
            held.append((known, tuple(chunk)))
            known += chunk[0].shape[0]
            while known - done >= self.k1:
                yield window(done + self.k1)
                done += self.k1
                while held and held[0][0] + held[0][1][0].shape[0] <= max(0, done + self.k1 - self.k2):
                    held.popleft()
        if known > done:
            yield window(known)


def _part(piece: tuple[Tensor, ...], at: int, begin: int, end: int) -> tuple[Tensor, ...]:
    return tuple(one[max(0, begin - at) : end - at] for one in piece)


def _detached(part: Any) -> Any:
    return part.detach() if isinstance(part, Tensor) else part


def _check(model: Any) -> None:
    if isinstance(model, nn.Module):
        for name, module in model.named_modules():
            if isinstance(module, Recurrent) and module.bidirectional:
                raise ValueError(
                    f"TBPTT: expected layers that read forward, got the bidirectional {name or 'layer'}; its reverse "
                    "direction would need the steps after the window"
                )
