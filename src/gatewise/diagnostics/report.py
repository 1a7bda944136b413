"""A trace as one self-contained HTML page, without network access or other files."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from gatewise.diagnostics.call_record import Location
from gatewise.diagnostics.findings import diagnose
from gatewise.diagnostics.gate_heat_maps import gate_data
from gatewise.diagnostics.horizon import Horizon
from gatewise.diagnostics.measurements import Measurements
from gatewise.diagnostics.report_contents import (
    MOST_POINTS,
    AttentionMap,
    Attribution,
    ChangeMap,
    Heading,
    Tokens,
    attention_data,
    attribution_data,
    change_data,
    number,
)
from gatewise.writing import atomic_write

_SCRIPTS = ("elements.js", "curves.js", "matrix.js", "gates.js", "main.js")
_OUTCOMES = {"vanishes": "falls to 1 %", "explodes": "grows 100-fold", "lasts": "lasts"}


def write_report(
    trace: Measurements,
    path: Path,
    tokens: Tokens | None,
    attributions: Sequence[Attribution] = (),
    attention: AttentionMap | None = None,
    changes: Sequence[ChangeMap] = (),
    heading: Heading | None = None,
) -> Path:
    """Write the page atomically.

    Raises:
        ValueError: when nothing was recorded, or an attribution does not have one number per token.
        OSError: when the file cannot be written.
    """
    for prediction, values in attributions:
        if tokens is None or isinstance(tokens, Mapping) or len(values) != len(tokens):
            raise ValueError(
                f"attributions: expected a number for each of the tokens, got {len(values)} for {prediction!r}"
            )
    heading = heading or Heading()
    written = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    contents = {
        "title": heading.title,
        "facts": [*heading.facts.items(), ("report", written)],
        **_data(trace, tokens),
        "attributions": attribution_data(attributions),
        "attention": attention_data(attention),
        "changes": [change_data(one, MOST_POINTS // len(changes)) for one in changes],
    }
    content = _page(json.dumps(contents, ensure_ascii=False, allow_nan=False)).encode()
    with atomic_write(path) as file:
        file.write(content)
    return path


def _page(data: str) -> str:
    folder = files("gatewise.diagnostics").joinpath("page")

    def part(name: str) -> str:
        return folder.joinpath(name).read_text(encoding="utf-8").rstrip()

    page = part("page.html").replace("__STYLE__", part("style.css"))
    page = page.replace("__SCRIPT__", "\n".join(map(part, _SCRIPTS)))
    # A token with "</script>" would end the script element that holds the data.
    return page.replace("__DATA__", data.replace("<", "\\u003c"))


def _data(trace: Measurements, tokens: Tokens | None) -> dict[str, Any]:
    diagnosis = diagnose(trace)
    layers = trace.layers()
    calls = [call for of_layer in layers for call in of_layer]
    cells = ", ".join(dict.fromkeys(call.cell.name for call in calls))
    steps, rows = sum(call.steps for call in layers[0]), max(call.rows for call in calls)
    backends = ", ".join(dict.fromkeys(call.choice.name for call in calls))
    of_module = tokens if isinstance(tokens, Mapping) else {}
    of_all = None if isinstance(tokens, Mapping) else tokens
    gates, pooled = gate_data(trace, of_module)
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
            [str(location), _OUTCOMES[one.outcome] + ("" if one.seen else ", extrapolated"), *_reach(one)]
            for location, one in trace.memory_horizon().items()
        ],
        "gates": gates,
        "pooled": pooled,
        "tokens": None if of_all is None else [str(token) for token in of_all],
        "clips": [[number(clip.norm), clip.clipped] for clip in trace.clips[-1000:]],
    }


def _count(amount: int, of: str) -> str:
    return f"{amount} {of}{'' if amount == 1 else 's'}"


def _reach(horizon: Horizon) -> tuple[str, str]:
    steps = f"{horizon.steps:.3g}" if math.isfinite(horizon.steps) else ""
    return f"{steps} of {len(horizon.norms)}" if horizon.seen else steps, f"{horizon.rate:.3g}"


def _flow(trace: Measurements, tokens: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    if not any(one.reached for one in trace.passes):
        return []
    flow = trace.gradient_flow()
    each = max(1, -(-sum(len(value) for value in flow.values()) // MOST_POINTS))
    groups: dict[Location, list[dict[str, Any]]] = {}
    for label in flow.labels:
        values = flow[label][::each].tolist()
        one = {"key": flow.key(label), "values": [number(value) for value in values]}
        groups.setdefault(label.location, []).append(one)
    note = "" if each == 1 else f" (every {each}th step)"
    return [
        {"title": f"{location}{note}", "series": series, "every": each, "tokens": tokens.get(location.module)}
        for location, series in groups.items()
    ]
