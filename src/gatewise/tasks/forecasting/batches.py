"""Windows of series in batches: what is read, where forecasts begin, what came then."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.data.batches import Batch, RaggedBatches
from gatewise.tasks.forecasting.panel import Panel

# Share of a window that is read before its first forecast.
_WARM_UP = 4
# Windows begin this share of a window after another, unless they are more than that. A pass over little data shows each
# of them several times.
_SHARE, _BATCHES, _MAX_WINDOWS = 16, 24, 65_536


class Span(NamedTuple):
    """Steps of a series.

    Attributes:
        series: its number.
        begin: the first step that is read.
        first: the first step after which there is a forecast.
        last: the last such step.
    """

    series: int
    begin: int
    first: int
    last: int

    @property
    def forecasts(self) -> int:
        """How many there are."""
        return self.last + 1 - self.first

    def shortened(self, share: float) -> "Span":
        """With the first of its forecasts, such a share of them and at least one."""
        return self._replace(last=self.first + max(0, int(self.forecasts * share) - 1))


def spans_to_learn(ends: Sequence[int], window: int, batch: int) -> Tensor:
    """The windows of a pass over series that end there: (N, 4) int64, the fields of spans.

    Windows overlap, so that a pass over little data shows each step several times; over much data they overlap less,
    down to what is read before the first forecast.

    >>> spans_to_learn([9], 4, 1)[:2].tolist()
    [[0, 0, 1, 3], [0, 1, 2, 4]]
    """
    steps = torch.tensor(ends, dtype=torch.int64) - 1  # the last known one has nothing to come
    series = (steps > 0).nonzero().flatten()
    lengths = steps[series].clamp(max=window)
    free = steps[series] - lengths
    stride = max(1, window // _SHARE)
    overlapping = int((free // stride + 1).sum())
    if overlapping > _MAX_WINDOWS:
        stride = min(-(-stride * overlapping // _MAX_WINDOWS), window - window // _WARM_UP)
    counts = free // stride + 1
    number = torch.arange(int(counts.sum())) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    begins = (free % stride).repeat_interleave(counts) + stride * number
    lengths = lengths.repeat_interleave(counts)
    first, last = begins + lengths // _WARM_UP, begins + lengths - 1
    found = torch.stack((series.repeat_interleave(counts), begins, first, last), 1)
    return found.repeat(-(-_BATCHES * batch // len(found)), 1) if len(found) else found


class SpanBatches(RaggedBatches):
    """Passes over spans of a panel.

    A batch has as inputs what is read (T, B, I), and for the last T′ of these steps, N = T′·B, the references and the
    covariates (N, K, F); as targets the scaled values (N, K), NaN where there is nothing to forecast.
    """

    def __init__(self, panel: Panel, spans: Sequence[Span] | Tensor, size: int, *, seed: int | None = None) -> None:
        self._panel = panel
        self._spans = torch.as_tensor(spans, dtype=torch.int64).reshape(-1, 4)
        self._begins = torch.tensor(panel.begins)
        lengths = self._spans[:, 3] + 1 - self._spans[:, 1]
        super().__init__(lengths, self._make, size, seed=seed)

    def batch_of(self, positions: Sequence[int]) -> tuple[Batch, Tensor, Tensor]:
        """The batch of some spans, the rows (N,) of its steps in the panel, and whether a forecast begins there."""
        series, begin, first, last = self._spans[list(positions)].unbind(1)
        lengths = last + 1 - begin
        time = torch.arange(int(lengths.max()))[:, None]
        rows = (self._begins[series] + begin) + time.minimum(lengths - 1)
        is_predicted = (time >= first - begin) & (time < lengths)
        earliest = int((first - begin).min())
        origins, is_predicted = rows[earliest:].flatten(), is_predicted[earliest:].flatten()
        panel = self._panel
        targets = panel.targets(origins)
        if not is_predicted.all():
            targets[~is_predicted] = float("nan")
        inputs = panel.array_at("inputs", rows), panel.references(origins), panel.future(origins).nan_to_num()
        return Batch(inputs, lengths, targets), origins, is_predicted

    def _make(self, positions: list[int]) -> Batch:
        return self.batch_of(positions)[0]
