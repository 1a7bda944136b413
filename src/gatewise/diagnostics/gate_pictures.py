"""The pictures of gates in a report."""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.diagnostics.likeness import order_by_likeness
from gatewise.diagnostics.measurements import Measurements

# Cells of all heat maps together, a byte each, which base64 makes 4/3: the page stays below 2 MB.
MOST_CELLS = 900_000
BARS = 40
_PADDING = 255
# Steps by which units are compared: evenly spread over a longer sequence.
_COMPARED = 1000
_RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


def gate_data(trace: Measurements, tokens: Mapping[str, Sequence[str]]) -> tuple[list[dict[str, Any]], str]:
    """Every gate as a picture of the first batch row, units ordered by likeness; and a note on what a cell of it is."""
    gates = trace.gates()
    saturation = gates.saturation()
    cells = sum(value.shape[0] * value.shape[2] for value in gates.values())
    # Of a long sequence or many units blocks are averaged, by as much in time as over units.
    units = min(max(1, math.ceil(math.sqrt(cells / MOST_CELLS))), min(value.shape[2] for value in gates.values()))
    steps = max(1, math.ceil(cells / MOST_CELLS / units))
    cell_of = {place: calls[0].cell for calls in trace.layers() for place in calls[0].places}
    found: list[dict[str, Any]] = []
    for label, (key, value) in zip(gates.labels, gates.items(), strict=True):
        first = value[:, 0].float() if value.shape[1] else value.new_full((value.shape[0], value.shape[2]), torch.nan)
        inside = value[~value.isnan()].float()
        low, high = _range(gates.activations[key], inside)
        order = _order(first, low, high)
        shown = _pooled(first[:, order], steps, units)
        scaled = ((shown - low) / (high - low)).clamp(0, 1).mul(254).round()
        image = torch.where(shown.isnan(), float(_PADDING), scaled).to(torch.uint8).t().contiguous()
        counts = torch.histc(inside, BARS, low, high)
        one = saturation[key]
        found.append(
            {
                "key": key,
                "place": str(label.place),
                "purpose": cell_of[label.place].documentation.gates.get(label.name, "").partition(":")[0],
                "activation": gates.activations[key],
                "summary": f"{one.low:.0%} of the values at the lower end, {one.high:.0%} at the upper end",
                "low": low,
                "high": high,
                "steps": image.shape[1],
                "units": image.shape[0],
                "order": order,
                "tokens": tokens.get(label.place.module),
                "pooled": steps,
                "unit_pooled": units,
                "data": base64.b64encode(bytes(image.flatten().tolist())).decode(),
                "histogram": [round(part, 5) for part in _shares(counts)],
            }
        )
    means = [f"{count} {what}" for count, what in ((steps, "steps"), (units, "units")) if count > 1]
    return found, f"Each cell is the mean of {' and '.join(means)} that stand together." if means else ""


def _order(values: Tensor, low: float, high: float) -> list[int]:
    """Units (T, H) by likeness; what is not finite counts as the end that it is beyond."""
    there = values[~values.isnan().all(dim=1)]
    some = there[:: max(1, len(there) // _COMPARED)]
    return order_by_likeness(some.t().nan_to_num(low, high, low).clamp(low, high).cpu())


def _shares(counts: Tensor) -> Iterable[float]:
    return (counts / counts.sum().clamp_min(1)).tolist()


def _range(activation: str, values: Tensor) -> tuple[float, float]:
    if activation in _RANGES:
        return _RANGES[activation]
    finite = values[values.isfinite()]
    low, high = (float(finite.min()), float(finite.max())) if finite.numel() else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1.0)


def _pooled(values: Tensor, steps: int, units: int) -> Tensor:
    """(T, H) averaged over blocks; NaN where a block holds any."""
    if steps * units == 1:
        return values
    return functional.avg_pool2d(values[None], (steps, units), ceil_mode=True)[0]
