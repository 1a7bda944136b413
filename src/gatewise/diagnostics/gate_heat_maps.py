"""The heat maps of gates in a report."""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.diagnostics.measurements import Measurements
from gatewise.diagnostics.similarity import order_by_similarity

# Pixels of all heat maps together, a byte each, times 4/3 in base64: the page stays below 2 MB.
MOST_CELLS = 900_000
BARS = 40
_PADDING = 255
# Number of steps by which units are compared, evenly spaced in longer sequences.
_COMPARED = 1000
_RANGES = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


def gate_data(trace: Measurements, tokens: Mapping[str, Sequence[str]]) -> tuple[list[dict[str, Any]], str]:
    """A heat map of the first batch row of every gate, units ordered by similarity; and a note on pooling."""
    gates = trace.gates()
    saturation = gates.saturation()
    cells = sum(value.shape[0] * value.shape[2] for value in gates.values())
    # Long sequences and many units are averaged over blocks, equally in time and over units.
    units = min(max(1, math.ceil(math.sqrt(cells / MOST_CELLS))), min(value.shape[2] for value in gates.values()))
    steps = max(1, math.ceil(cells / MOST_CELLS / units))
    cell_of = {location: calls[0].cell for calls in trace.layers() for location in calls[0].locations}
    found: list[dict[str, Any]] = []
    for label, (key, value) in zip(gates.labels, gates.items(), strict=True):
        first = value[:, 0].float() if value.shape[1] else value.new_full((value.shape[0], value.shape[2]), torch.nan)
        inside = value[~value.isnan()].float()
        low, high = _range(gates.activations[key], inside)
        order = _order(first, low, high)
        pooled = _pooled(first[:, order], steps, units)
        scaled = ((pooled - low) / (high - low)).clamp(0, 1).mul(254).round()
        image = torch.where(pooled.isnan(), float(_PADDING), scaled).to(torch.uint8).t().contiguous()
        counts = torch.histc(inside, BARS, low, high)
        one = saturation[key]
        found.append(
            {
                "key": key,
                "location": str(label.location),
                "role": cell_of[label.location].documentation.gates.get(label.name, "").partition(":")[0],
                "activation": gates.activations[key],
                "summary": f"{one.low:.0%} of the values at the lower end, {one.high:.0%} at the upper end",
                "low": low,
                "high": high,
                "steps": image.shape[1],
                "units": image.shape[0],
                "order": order,
                "tokens": tokens.get(label.location.module),
                "pooled": steps,
                "unit_pooled": units,
                "data": base64.b64encode(bytes(image.flatten().tolist())).decode(),
                "histogram": [round(part, 5) for part in _shares(counts)],
            }
        )
    means = [f"{count} {what}" for count, what in ((steps, "steps"), (units, "units")) if count > 1]
    return found, f"Each cell is the mean of {' and '.join(means)} in a row." if means else ""


def _order(values: Tensor, low: float, high: float) -> list[int]:
    """The order of units (T, H) by similarity; values that are not finite count as the nearest end of the range."""
    there = values[~values.isnan().all(dim=1)]
    some = there[:: max(1, len(there) // _COMPARED)]
    return order_by_similarity(some.t().nan_to_num(low, high, low).clamp(low, high).cpu())


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
