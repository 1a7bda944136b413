"""A trace as one page of HTML that needs nothing else: no network, no other file."""

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gatewise.diagnostics.findings import diagnose
from gatewise.diagnostics.horizon import Horizon
from gatewise.diagnostics.measurements import Measurements
from gatewise.diagnostics.recorded import Place
from gatewise.equations.operations import OPERATIONS
from gatewise.explanations.purposes import PURPOSES
from gatewise.writing import atomic_write

# Cells of all heat maps together, a byte each, which base64 makes 4/3: the page stays below 2 MB.
MOST_CELLS = 900_000
# Points of all curves together, about 10 characters each.
MOST_POINTS = 40_000
BARS = 40
_PADDING = 255
_OUTCOMES = {"vanishes": "falls to 1 %", "explodes": "grows 100-fold", "lasts": "lasts"}


Tokens = Sequence[str] | Mapping[str, Sequence[str]]


class AttentionMap(NamedTuple):
    """Where a decoder looked while it wrote.

    Attributes:
        source: the S tokens that it looked at.
        answer: the T tokens that it wrote.
        weights: (T, S), each row adds up to 1.
    """

    source: Sequence[str]
    answer: Sequence[str]
    weights: Tensor


class ChangeMap(NamedTuple):
    """What moved numbers, and by how much.

    Attributes:
        title: what the map shows, for people.
        causes: the C things that moved them.
        answers: the A numbers that were moved, as text.
        changes: (A, C), what each cause adds to each number.
    """

    title: str
    causes: Sequence[str]
    answers: Sequence[str]
    changes: Tensor


def write_report(
    trace: Measurements,
    path: Path,
    tokens: Tokens | None,
    moved: Sequence[tuple[str, Sequence[float]]] = (),
    attention: AttentionMap | None = None,
    changes: Sequence[ChangeMap] = (),
) -> Path:
    """Write the page, whole or not at all.

    Raises:
        ValueError: when nothing was recorded, or there are not as many numbers of an answer as tokens.
        OSError: when the file cannot be written.
    """
    text = files("gatewise.diagnostics").joinpath("report.html").read_text(encoding="utf-8")
    for answer, values in moved:
        if tokens is None or isinstance(tokens, Mapping) or len(values) != len(tokens):
            raise ValueError(f"moved: expected a number for each of the tokens, got {len(values)} for {answer!r}")
    # "<" would end the script that holds the data, whatever stands in a token.
    shown = {
        **_data(trace, tokens),
        "moved": _moved(moved),
        "attention": _attention(attention),
        "changes": [_changes(one, MOST_POINTS // len(changes)) for one in changes],
    }
    data = json.dumps(shown, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    content = text.replace("__DATA__", data).encode()
    with atomic_write(path) as file:
        file.write(content)
    return path


def _data(trace: Measurements, tokens: Tokens | None) -> dict[str, Any]:
    diagnosis = diagnose(trace)
    layers = trace.layers()
    calls = [call for of_layer in layers for call in of_layer]
    cells = ", ".join(dict.fromkeys(call.cell.name for call in calls))
    steps, rows = sum(call.steps for call in layers[0]), max(call.rows for call in calls)
    backends = ", ".join(dict.fromkeys(call.choice.name for call in calls))
    of_module = tokens if isinstance(tokens, Mapping) else {}
    of_all = None if isinstance(tokens, Mapping) else tokens
    gates, pooled = _gates(trace, of_module)
    updates = [f"{_count(len(trace.updates), 'update')} measured"] if trace.updates else []
    return {
        "about": "; ".join((cells, _count(steps, "step"), _count(rows, "row"), f"backend {backends}", *updates)),
        "findings": [
            {
                "kind": one.kind,
                "layer": one.layer,
                "evidence": one.evidence,
                "advice": one.advice,
                "page": one.page,
                "consequences": list(one.consequences),
            }
            for one in diagnosis
        ],
        "unchecked": list(diagnosis.unchecked),
        "flow": _flow(trace, of_module),
        "horizons": [
            [str(place), _OUTCOMES[one.outcome] + ("" if one.seen else ", extrapolated"), *_reach(one)]
            for place, one in trace.memory_horizon().items()
        ],
        "gates": gates,
        "pooled": pooled,
        "tokens": None if of_all is None else [str(token) for token in of_all],
        "clips": [[_number(clip.norm), clip.clipped] for clip in trace.clips[-1000:]],
    }


def _moved(moved: Sequence[tuple[str, Sequence[float]]]) -> list[dict[str, Any]]:
    rows = max(1, MOST_POINTS // max(1, max((len(values) for _, values in moved), default=1)))
    return [{"answer": answer, "values": [_number(value) for value in values]} for answer, values in moved[:rows]]


def _attention(attention: AttentionMap | None) -> dict[str, Any] | None:
    if attention is None:
        return None
    columns = min(len(attention.source), 200)
    rows = max(1, MOST_POINTS // max(1, columns))
    weights = attention.weights[:rows, :columns].tolist()
    return {
        "source": list(attention.source[:columns]),
        "answer": list(attention.answer[:rows]),
        "weights": [[round(value, 3) for value in row] for row in weights],
    }


def _changes(found: ChangeMap, points: int) -> dict[str, Any]:
    # The latest causes are kept: what lies far back moves least.
    first = max(0, len(found.causes) - max(1, points // max(1, len(found.answers))))
    return {
        "title": found.title,
        "causes": list(found.causes[first:]),
        "answers": list(found.answers),
        "changes": [[_number(value) for value in row] for row in found.changes[:, first:].tolist()],
    }


def _number(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _count(number: int, of: str) -> str:
    return f"{number} {of}{'' if number == 1 else 's'}"


def _reach(horizon: Horizon) -> tuple[str, str]:
    return f"{horizon.steps:.3g}" if math.isfinite(horizon.steps) else "", f"{horizon.rate:.3g}"


def _flow(trace: Measurements, tokens: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    if not any(one.reached for one in trace.passes):
        return []
    flow = trace.gradient_flow()
    each = max(1, -(-sum(len(value) for value in flow.values()) // MOST_POINTS))
    groups: dict[Place, list[dict[str, Any]]] = {}
    for label in flow.labels:
        values = flow[label][::each].tolist()
        one = {"key": flow.key(label), "values": [_number(value) for value in values]}
        groups.setdefault(label.place, []).append(one)
    note = "" if each == 1 else f" (every {each}th step)"
    return [
        {"title": f"{place}{note}", "series": series, "every": each, "tokens": tokens.get(place.module)}
        for place, series in groups.items()
    ]


def _gates(trace: Measurements, tokens: Mapping[str, Sequence[str]]) -> tuple[list[dict[str, Any]], str]:
    gates = trace.gates()
    saturation = gates.saturation()
    cells = sum(value.shape[0] * value.shape[2] for value in gates.values())
    # Of a long sequence or many units blocks are averaged, by as much in time as over units.
    units = min(max(1, math.ceil(math.sqrt(cells / MOST_CELLS))), min(value.shape[2] for value in gates.values()))
    steps = max(1, math.ceil(cells / MOST_CELLS / units))
    cell_of = {place: calls[0].cell.name for calls in trace.layers() for place in calls[0].places}
    found: list[dict[str, Any]] = []
    for label, (key, value) in zip(gates.labels, gates.items(), strict=True):
        first = value[:, 0].float() if value.shape[1] else value.new_full((value.shape[0], value.shape[2]), torch.nan)
        inside = value[~value.isnan()].float()
        low, high = _range(gates.activations[key], inside)
        shown = _pooled(first, steps, units)
        scaled = ((shown - low) / (high - low)).clamp(0, 1).mul(254).round()
        image = torch.where(shown.isnan(), float(_PADDING), scaled).to(torch.uint8).t().contiguous()
        counts = torch.histc(inside, BARS, low, high)
        one = saturation[key]
        found.append(
            {
                "key": key,
                "purpose": PURPOSES.get(cell_of[label.place], {}).get(label.name, "").partition(":")[0],
                "activation": gates.activations[key],
                "summary": f"{one.low:.0%} of the values at the lower end, {one.high:.0%} at the upper end",
                "low": low,
                "high": high,
                "steps": image.shape[1],
                "units": image.shape[0],
                "tokens": tokens.get(label.place.module),
                "pooled": steps,
                "unit_pooled": units,
                "data": base64.b64encode(bytes(image.flatten().tolist())).decode(),
                "histogram": [round(part, 5) for part in _shares(counts)],
            }
        )
    note = f"Each cell is the mean of {steps} steps and {units} units." if steps * units > 1 else ""
    return found, note


def _shares(counts: Tensor) -> Iterable[float]:
    return (counts / counts.sum().clamp_min(1)).tolist()


def _range(activation: str, values: Tensor) -> tuple[float, float]:
    low, high = OPERATIONS[activation].range[:2] if activation in OPERATIONS else (-math.inf, math.inf)
    if math.isfinite(low) and math.isfinite(high):
        return low, high
    finite = values[values.isfinite()]
    low, high = (float(finite.min()), float(finite.max())) if finite.numel() else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1.0)


def _pooled(values: Tensor, steps: int, units: int) -> Tensor:
    """(T, H) averaged over blocks; NaN where a block holds any."""
    if steps * units == 1:
        return values
    return functional.avg_pool2d(values[None], (steps, units), ceil_mode=True)[0]
