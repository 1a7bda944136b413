"""A long token sequence as parallel contiguous streams, read window by window (for truncated BPTT)."""

import copy
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from gatewise.data.batches import portion
from gatewise.data.encoded_text import Ids

NO_TARGET = -100
"""Marks a step without a target; torch's cross entropy ignores it."""


class Window(NamedTuple):
    """T steps of every stream: `inputs` (T, B) and, one token later, `targets` (T, B), both int64."""

    inputs: Tensor
    targets: Tensor


class Streams:
    """N tokens cut into B contiguous streams; iterating gives windows of T steps, in order.

    The N - 1 predictions (of token i + 1 from what precedes it) are distributed over the streams in order, as evenly as
    possible: each is made exactly once per pass. Streams that end one step before the longest are padded with
    `NO_TARGET`; the last window may be shorter. The position within the pass is part of the state
    (`state_dict`, `load_state_dict`), so that training can resume inside an epoch.

    Args:
        tokens: (N,), at least 2; they are read window by window.
        streams: the number of parallel streams B, at most N - 1.
        window: the number of steps T in a window.
        windows: how many windows iterating gives, by default those of a pass over all tokens; the next iteration
            continues where the last one ended, and from the end of the tokens at their beginning.

    >>> for inputs, targets in Streams(torch.arange(8), streams=2, window=3):
    ...     print(inputs.T.tolist(), targets.T.tolist())
    [[0, 1, 2], [4, 5, 6]] [[1, 2, 3], [5, 6, 7]]
    [[3], [0]] [[4], [-100]]
    """

    def __init__(self, tokens: Ids, streams: int, window: int, windows: int | None = None) -> None:
        predictions = len(tokens) - 1
        self._steps = -(-predictions // streams)
        longer = predictions - (self._steps - 1) * streams
        lengths = [self._steps - (stream >= longer) for stream in range(streams)]
        self._spans = list(zip(accumulate(lengths[:-1], initial=0), lengths, strict=True))
        self._tokens = tokens
        self._window = window
        self._windows = windows or self.windows_of_pass
        self._position = self._given = 0

    @property
    def steps(self) -> int:
        """The length of the longest stream."""
        return self._steps

    @property
    def most_steps(self) -> int:
        """The steps of the largest window, of all streams together."""
        return len(self._spans) * min(self._window, self.steps)

    @property
    def windows_of_pass(self) -> int:
        """The number of windows in a pass over all tokens."""
        return -(-self.steps // self._window)

    def __len__(self) -> int:
        """The number of windows that iterating gives."""
        return self._windows

    def __iter__(self) -> Iterator[Window]:
        for given in range(self._given, len(self)):
            index = self._position
            # Before the yield: a state that is saved while this window is in use resumes after it.
            self._position = (index + 1) % self.windows_of_pass
            self._given = (given + 1) % len(self)
            yield self._window_at(index)

    def share(self, part: int, parts: int) -> Self:
        """Some of the streams, for one of `parts` processes that read them together.

        Raises:
            ValueError: when there are fewer streams than processes.

        >>> for inputs, _ in Streams(torch.arange(8), streams=2, window=3).share(1, 2):
        ...     print(inputs.T.tolist())
        [[4, 5, 6]]
        [[0]]
        """
        if len(self._spans) < parts:
            raise ValueError(
                f"batch: {len(self._spans)} streams cannot be shared by {parts} processes; each needs one at least"
            )
        found = copy.copy(self)
        found._spans = self._spans[portion(len(self._spans), part, parts)]
        return found

    def deal(self, part: int, parts: int) -> Self:
        """All of them: a window continues the one before, so each process reads every one."""
        return self

    def sample(self, count: int) -> Iterator[Window]:
        """At most `count` windows from the beginning, as each continues the one before; the position is unchanged."""
        return map(self._window_at, range(min(count, self.windows_of_pass)))

    def _window_at(self, index: int) -> Window:
        first = index * self._window
        steps = min(self._window, self._steps - first)
        inputs = torch.zeros(steps, len(self._spans), dtype=torch.int64)
        targets = torch.full_like(inputs, NO_TARGET)
        for stream, (start, length) in enumerate(self._spans):
            inside = min(steps, length - first)
            begin = start + first
            found = torch.from_numpy(np.asarray(self._tokens[begin : begin + inside + 1]).astype(np.int64))
            inputs[:inside, stream], targets[:inside, stream] = found[:-1], found[1:]
        return Window(inputs, targets)

    def state_dict(self) -> dict[str, int]:
        """The window at which the next iteration begins, and how many of an iteration have been given before it."""
        return {"position": self._position, "given": self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Begin the next iteration at a saved position."""
        self._position, self._given = state["position"], state.get("given", state["position"])
