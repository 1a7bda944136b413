"""Truncated back-propagation through time, over sequences and endless streams."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from gatewise.layers.mask_seeds import Seeds, held
from gatewise.layers.recurrent import Recurrent
from gatewise.layers.row_lengths import Lengths, row_lengths
from gatewise.layers.stack import Stack


@dataclass
class _Carried:
    """The states that windows start from, by step, and the seeds of masks, which are those of the whole stream."""

    states: dict[int, Any] = field(default_factory=dict)
    seeds: Seeds = field(default_factory=Seeds)


@dataclass
class Window:
    """A window of steps, of which the last ones have losses.

    Attributes:
        begin, fresh, end: the steps are [begin, end) of the stream; [fresh, end) have losses, and each step is in the
            fresh part of exactly one window.
        tensors: the fields of the stream, (end − begin, B, …) each; the first is the input.
        lengths: (B,) the valid steps of each row within the window, or None.
        reset, mask: (end − begin, B) bool, or None.
        full: the mean number of losses of a window, by which losses are weighted.
    """

    begin: int
    fresh: int
    end: int
    tensors: tuple[Tensor, ...]
    lengths: Tensor | None
    reset: Tensor | None
    mask: Tensor | None
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
        """(end − fresh, B) bool, false in padding and at masked steps."""
        first, batch = self.fresh - self.begin, self.input.shape[1]
        if self.mask is not None:
            valid = self.mask[first:]
        else:
            valid = torch.ones((self.end - self.fresh, batch), dtype=torch.bool, device=self.input.device)
        if self.lengths is None:
            return valid
        steps = torch.arange(first, self.end - self.begin, device=self.lengths.device)
        return valid & (steps[:, None] < self.lengths)

    @property
    def weight(self) -> float:
        """The number of losses of the window relative to the mean: 1 except at ragged ends."""
        return int(self.valid.sum()) / self.full

    def run(self, model: Any, **options: Any) -> Tensor:
        """Run a model over the window, from the detached state at its start.

        Args:
            model: called as ``model(x, state)``, with the ``lengths``, ``reset`` and ``mask`` that there are; returns
                (output, state), time first. A state is a tensor or any nest of tuples, lists and dicts of tensors, so
                a model of several layers returns all of theirs; it is None before the first step.
            options: passed to the model.

        Returns:
            The output at the steps that have losses, (end − fresh, B, …).

        Raises:
            ValueError: when the previous window was not run, or for a bidirectional layer, whose reverse direction
                would need future steps.
        """
        _check(model)
        if self.begin not in self._carried.states:
            raise ValueError("window: expected to be run after the previous window, from whose states it continues")
        state = self._carried.states[self.begin]
        cuts = [self.begin, *([self._next] if self.begin < self._next < self.end else []), self.end]
        outputs: list[Tensor] = []
        for start, stop in pairwise(cuts):
            with held(self._carried.seeds, start):
                output, state = model(
                    self.input[start - self.begin : stop - self.begin], state, **self._flags(start, stop), **options
                )
            outputs.append(output)
            # The graph is dropped: the next window starts from detached values.
            self._carried.states[stop] = tree_map(_detached, state)
        for step in list(self._carried.states):
            if step not in (self.begin, self._next):  # the same window may be run again
                del self._carried.states[step]
        whole = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return whole[self.fresh - self.begin :]

    def mean(self, losses: Tensor) -> Tensor:
        """One loss from those (end − fresh, B) of the window, excluding padding.

        It is their sum divided by the mean number of losses of a window, so that every step has the same weight, also
        in short windows and those in which rows end; for a single window it is the mean.
        """
        return torch.where(self.valid, losses, losses.new_zeros(())).sum() / self.full

    def to(self, device: torch.device | str, **options: Any) -> Self:
        """Move the window to another device."""
        self.tensors = tuple(one.to(device, **options) for one in self.tensors)
        self.reset = None if self.reset is None else self.reset.to(device, **options)
        self.mask = None if self.mask is None else self.mask.to(device, **options)
        self.lengths = None if self.lengths is None else self.lengths.to(device, **options)
        return self

    def _flags(self, start: int, stop: int) -> dict[str, Tensor]:
        flags: dict[str, Tensor] = {}
        if self.lengths is not None:
            flags["lengths"] = (self.lengths - (start - self.begin)).clamp(0, stop - start)
        for name, values in {"reset": self.reset, "mask": self.mask}.items():
            if values is not None:
                flags[name] = values[start - self.begin : stop - self.begin]
        return flags


class TBPTT:
    """Truncated back-propagation through time: every k1 steps, back through the last k2.

    Every k1 steps the last k2 are rerun with the current weights, from the detached state stored at their start; only
    the losses of the last k1 are injected, so each counts once. This is BPTT(h; h′) of Williams & Peng
    1990 ("An efficient gradient-based algorithm for on-line training of recurrent network trajectories", Neural
    Computation 2(4)), h = k2 and h′ = k1. With k1 = k2 the windows are consecutive and each is run once; with
    k1 = k2 = T this is back-propagation through the whole sequence. Memory is bound by k2.

    Args:
        k1: steps from one update to the next.
        k2: steps that the gradient is propagated through, at least k1.

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
        self,
        *tensors: Tensor,
        lengths: Lengths | None = None,
        reset: Tensor | None = None,
        mask: Tensor | None = None,
        state: Any = None,
    ) -> Iterator[Window]:
        """The windows of a batch of sequences.

        Args:
            tensors: (T, B, …) each: the input, and what the losses need, as the targets.
            lengths: (B,) integers, the valid steps of each row.
            reset, mask: (T, B) bool, as `Recurrent` takes them; masked steps have no losses.
            state: the initial state of the model; detached.

        Yields:
            Windows, to be run in this order.

        Raises:
            TypeError: for something that is not a tensor, or lengths that are not integers.
            ValueError: for tensors of inconsistent shapes.
        """
        if not tensors:
            raise ValueError("windows: expected the input as a tensor (T, B, …), got nothing")
        named = [
            *((f"tensor {start}", one) for start, one in enumerate(tensors)),
            *((name, one) for name, one in {"reset": reset, "mask": mask}.items() if one is not None),
        ]
        for name, one in named:
            if not isinstance(one, Tensor):
                raise TypeError(f"{name}: expected a tensor (T, B, …), got {type(one).__name__}")
        shape = tensors[0].shape[:2]
        for name, one in named:
            if one.dim() < 2 or one.shape[:2] != shape:
                raise ValueError(
                    f"{name}: expected (T, B, …), the first two as the input's {tuple(shape)}, got {tuple(one.shape)}; "
                    "time is the first dimension"
                )
        if shape[0] == 0:
            raise ValueError("windows: expected at least one step, got T=0")
        lengths = None if lengths is None else row_lengths(lengths, shape[1], tensors[0].device, shape[0])
        flags = {name: one for name, one in {"reset": reset, "mask": mask}.items() if one is not None}
        losses = shape.numel()
        if lengths is not None or mask is not None:
            whole = Window(0, 0, shape[0], tensors, lengths, reset, mask, 1.0, shape[0], _Carried())
            losses = int(whole.valid.sum())
        # An average window has k1 / T of all losses.
        full = max(losses, 1) * min(self.k1, shape[0]) / shape[0]
        return self._windows([(*tensors, *flags.values())], [*flags], lengths, full, state)

    def stream(
        self, chunks: Iterable[Sequence[Tensor]], *, state: Any = None, reset: bool = False, mask: bool = False
    ) -> Iterator[Window]:
        """The windows of a stream that may never end.

        Args:
            chunks: the fields of some further steps, (t, B, …) each, in any portions; B is the same for all.
            state: the initial state of the model; detached.
            reset, mask: whether the last fields of each chunk are the reset flags and the mask, (t, B) bool each.

        Yields:
            Windows, to be run in this order; no more than k2 steps and a chunk are held.
        """
        flags = [name for name, given in {"reset": reset, "mask": mask}.items() if given]
        return self._windows(chunks, flags, None, None, state)

    def _windows(
        self,
        chunks: Iterable[Sequence[Tensor]],
        flags: Sequence[str],
        lengths: Tensor | None,
        full: float | None,
        state: Any,
    ) -> Iterator[Window]:
        carried = _Carried({0: tree_map(_detached, state)})
        held: deque[tuple[int, tuple[Tensor, ...]]] = deque()  # chunks of the stream, and where each begins
        known = done = 0

        def window(end: int) -> Window:
            # A window begins where a state was stored, also at a ragged end.
            begin, after = max(0, done + self.k1 - self.k2), max(0, done + 2 * self.k1 - self.k2)
            parts = [
                _part(piece, start, begin, end)
                for start, piece in held
                if start < end and start + piece[0].shape[0] > begin
            ]
            whole = tuple(one[0] if len(one) == 1 else torch.cat(one) for one in zip(*parts, strict=True))
            fields = len(whole) - len(flags)
            tensors, named = whole[:fields], dict(zip(flags, whole[fields:], strict=True))
            return Window(
                begin,
                done,
                end,
                tensors,
                None if lengths is None else (lengths - begin).clamp(0, end - begin),
                named.get("reset"),
                named.get("mask"),
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


def _part(piece: tuple[Tensor, ...], start: int, begin: int, end: int) -> tuple[Tensor, ...]:
    return tuple(one[max(0, begin - start) : end - start] for one in piece)


def _detached(part: Any) -> Any:
    return part.detach() if isinstance(part, Tensor) else part


def _check(model: Any) -> None:
    if isinstance(model, Recurrent | Stack) and not model.return_state:
        raise ValueError(
            "TBPTT: expected a layer that returns its state, which windows carry on; got return_state=False"
        )
    if any(
        isinstance(one, Recurrent) and one.return_states
        for one in (model, *(model if isinstance(model, Stack) else ()))
    ):
        raise ValueError(
            "TBPTT: expected a layer that returns (output, state), got return_states=True; "
            "wrap it in a module whose output has what the losses need"
        )
    if isinstance(model, nn.Module):
        for name, module in model.named_modules():
            if isinstance(module, Recurrent) and (module.bidirectional or module.reverse):
                kind = "bidirectional" if module.bidirectional else "reverse"
                raise ValueError(
                    f"TBPTT: expected layers that read forward, got the {kind} {name or 'layer'}; its reverse "
                    "direction would need the steps after the window"
                )
