"""Findings: problems of a network in training, with evidence and advice."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gatewise.diagnostics.advice import advice_for, advice_for_long_spans, page_of
from gatewise.diagnostics.call_record import CallRecord, Location
from gatewise.diagnostics.horizon import Horizon
from gatewise.diagnostics.measurements import Measurements
from gatewise.diagnostics.reach import reach_of
from gatewise.diagnostics.replay import forget_bias
from gatewise.diagnostics.saturation import Saturation
from gatewise.equations import Cell
from gatewise.equations.operations import OPERATIONS

# A gradient vanishes if it falls to 1 % in fewer steps than this, in a sequence at least twice as long, and keeps
# falling by this factor per step. (Between h and c of an LSTM much is lost once, which is not a matter of long spans.)
SHORT_MEMORY, FAST = 10, 0.65
# The fraction of saturated values that is a problem: values of trained gates and candidates are often near the ends.
NEARLY_ALL = 0.9
# The fraction of units that never leave an end; of steps that no loss reaches.
MOSTLY = 0.5
# Values at both ends indicate large weights; a gate near one end may hold a memory.
BOTH_ENDS = 0.1
DEAD = 0.25
# Between the gradients of the lowest and the highest layer.
BETWEEN_LAYERS = 1e3
BARELY = 1e-5
ALWAYS, ENOUGH_CLIPS = 0.95, 5
# A window is short if this fraction of the gradient of its last step reaches its first, which has a carried-in state.
STILL_LARGE = 0.5


@dataclass(frozen=True)
class Finding:
    """One problem.

    Attributes:
        kind: ``vanishing``, ``exploding``, ``saturated gate``, ``gate stuck open``, ``gate stuck closed``,
            ``dead ReLU``, ``short window``, ``weights barely move``, ``clipping at every step`` or ``not finite``.
        layer: where, as in the keys of `GradientFlow`, or ``model``.
        evidence: the observation, as text.
        numbers: the observation, as numbers.
        advice: what to change.
        page: the command that explains it.
        consequences: findings that follow from this one and are not listed separately.
    """

    kind: str
    layer: str
    evidence: str
    numbers: dict[str, float]
    advice: str
    page: str
    consequences: tuple[str, ...] = ()

    def __str__(self) -> str:
        after = f" (so also: {', '.join(self.consequences)})" if self.consequences else ""
        return f"{self.layer}: {self.kind}: {self.evidence}{after}. {self.advice} See {self.page}"


@dataclass(frozen=True)
class Diagnosis(Sequence[Finding]):
    """The findings; empty for a healthy network.

    Attributes:
        findings: causes before consequences.
        unchecked: the checks that were not possible, with the reason.
    """

    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...] = field(default=())

    def __getitem__(self, index: int) -> Finding:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.findings[index]

    def __len__(self) -> int:
        return len(self.findings)

    def __str__(self) -> str:
        lines = [f"{number}. {finding}" for number, finding in enumerate(self.findings, start=1)] or ["nothing found"]
        return "\n".join([*lines, *(f"not checked: {one}" for one in self.unchecked)])


def diagnose(trace: Measurements) -> Diagnosis:
    """Run all checks on the last pass, the updates and the clipping events of a trace.

    Each layer is run again to measure how far its gradient reaches. A consequence of another finding in the same layer
    (a gate that is stuck closed blocks the gradient) is listed with it.

    Raises:
        ValueError: when nothing was recorded.
    """
    layers = trace.layers()
    bad = trace.first_not_finite
    if bad is not None:
        cell = next(calls[0].cell for calls in layers)
        numbers = {"step": float(bad.step), "pass": float(bad.number)}
        evidence = f"the first {bad.what} that is NaN or infinite is at step {bad.step} (pass {bad.number})"
        return Diagnosis((_finding("not finite", _name(trace, bad.location), evidence, numbers, cell),))
    found: list[Finding] = []
    horizons = trace.memory_horizon()
    saturation = trace.saturation()
    for calls in layers:
        for direction, location in enumerate(calls[0].locations):
            found += _of_direction(trace, calls, location, direction, horizons[location], saturation)
    found += _of_reach(trace, layers, found)
    found += _between_layers(trace, layers)
    exploding = any(finding.kind == "exploding" for finding in found)
    found += _of_updates(trace, exploding)
    unchecked: list[str] = []
    if not any(call.has_gradients for calls in layers for call in calls):
        unchecked.append("gradients between layers, and which steps losses reach: no backward pass was recorded")
    if not trace.updates:
        unchecked.append("whether weights move: no step of an optimiser was recorded")
    return Diagnosis(tuple(found), tuple(unchecked))


def _of_direction(
    trace: Measurements,
    calls: list[CallRecord],
    location: Location,
    direction: int,
    horizon: Horizon,
    saturation: dict[str, Saturation],
) -> Iterator[Finding]:
    cell, layer = calls[0].cell, _name(trace, location)
    steps = len(horizon.norms)
    flow: list[tuple[str, str, dict[str, float]]] = []
    fast = horizon.steps < SHORT_MEMORY and horizon.rate < FAST and steps >= 2 * horizon.steps
    if horizon.outcome == "vanishes" and horizon.seen and fast:
        evidence = f"the gradient falls to 1 % in {horizon.steps:.0f} steps (factor {horizon.rate:.3g} per step)"
        flow.append(("vanishing", evidence, {"steps": horizon.steps, "rate": horizon.rate}))
    if horizon.outcome == "explodes" and horizon.seen:
        evidence = f"the gradient grows 100-fold in {horizon.steps:.0f} steps (factor {horizon.rate:.3g} per step)"
        flow.append(("exploding", evidence, {"steps": horizon.steps, "rate": horizon.rate}))
    elif _cut_short(calls, horizon):
        reach = float(horizon.norms[-1])
        evidence = (
            f"{reach:.0%} of the gradient is left {steps} steps back, where the window begins with a state that was "
            "carried in without its history"
        )
        flow.append(("short window", evidence, {"steps": steps, "left": reach}))
    causes = list(_of_gates(trace, location, saturation))
    for number, (kind, evidence, numbers, gate) in enumerate(causes):
        after = tuple(one for one, _, _ in flow if one == "vanishing") if number == 0 else ()
        yield _finding(kind, layer, evidence, numbers, cell, gate, after)
    for kind, evidence, numbers in flow:
        if kind == "vanishing" and not causes:
            advice = advice_for_long_spans(cell, steps, forget_bias(calls[-1], direction))
            yield Finding(kind, layer, evidence, numbers, advice, page_of(kind))
        elif kind != "vanishing":
            yield _finding(kind, layer, evidence, numbers, cell)


def _of_reach(trace: Measurements, layers: list[list[CallRecord]], found: list[Finding]) -> Iterator[Finding]:
    """Modules in which losses do not reach most steps, unless a finding in one of their layers covers it."""
    by_module: dict[str, list[list[CallRecord]]] = {}
    for calls in layers:
        if calls[-1].has_gradients:
            by_module.setdefault(calls[-1].module, []).append(calls)
    for module, stack in by_module.items():
        locations = [location for calls in stack for location in calls[0].locations]
        names = {_name(trace, location) for location in locations}
        reported = any(one.layer in names and "vanishing" in (one.kind, *one.consequences) for one in found)
        lowest, highest = (pick(stack, key=lambda calls: calls[0].layer) for pick in (min, max))
        reach = reach_of(lowest, highest)
        if reported or reach is None or reach.within is None or reach.unreached < MOSTLY:
            continue
        where = "at the end alone" if reach.at_ends else f"at {reach.entries:.3g} of {reach.steps:.3g} steps"
        evidence = (
            f"losses enter {where}, and their gradient falls to 1 % within {_count(reach.within, 'step')}, so that "
            f"{reach.unreached:.0%} of the {reach.steps:.3g} steps get less than that"
        )
        numbers = {"unreached": reach.unreached, "steps": float(reach.within), "length": reach.steps}
        call = lowest[-1]
        dense = reach.entries > reach.steps / 2
        advice = advice_for_long_spans(call.cell, reach.farthest + 1, forget_bias(call, 0), dense=dense)
        layer = _name(trace, locations[0]) if len(locations) == 1 else module or "model"
        yield Finding("vanishing", layer, evidence, numbers, advice, page_of("vanishing"))


def _of_gates(
    trace: Measurements, location: Location, saturation: dict[str, Saturation]
) -> Iterator[tuple[str, str, dict[str, float], str]]:
    for label, one in zip(trace.gates_labels, saturation.values(), strict=True):
        if label.location != location:
            continue
        gate = label.name
        numbers = {"low": one.low, "high": one.high, "stuck low": one.stuck_low, "stuck high": one.stuck_high}
        gating = one.activation in OPERATIONS and OPERATIONS[one.activation].gating
        if one.activation == "relu":
            if one.stuck_low >= DEAD:
                yield "dead ReLU", f"{one.stuck_low:.0%} of the units are 0 at every step of every row", numbers, gate
        elif gating and one.stuck_low >= MOSTLY:
            yield "gate stuck closed", f"{one.stuck_low:.0%} of the units of {gate} stay at 0", numbers, gate
        elif gating and one.stuck_high >= MOSTLY:
            yield "gate stuck open", f"{one.stuck_high:.0%} of the units of {gate} stay at 1", numbers, gate
        elif one.total >= NEARLY_ALL and min(one.low, one.high) >= BOTH_ENDS:
            evidence = f"{one.total:.0%} of the values of {gate} are where {one.activation} is flat"
            yield "saturated gate", evidence, numbers, gate


def _cut_short(calls: list[CallRecord], horizon: Horizon) -> bool:
    whole = len(calls) == 1 and calls[0].has_gradients and calls[0].carried_in and len(horizon.norms) > 1
    return whole and float(horizon.norms[-1]) >= STILL_LARGE


def _between_layers(trace: Measurements, layers: list[list[CallRecord]]) -> Iterator[Finding]:
    by_module: dict[str, list[CallRecord]] = {}
    for calls in layers:
        if calls[-1].has_gradients:
            by_module.setdefault(calls[-1].module, []).append(calls[-1])
    for module, stack in by_module.items():
        stack.sort(key=lambda call: call.layer)
        lowest, highest = (float(call.gradient_norms[:, 0].double().norm()) for call in (stack[0], stack[-1]))
        if not (lowest and highest and len(stack) > 1):
            continue
        ratio = lowest / highest
        numbers = {"lowest": lowest, "highest": highest}
        cell = stack[0].cell
        if ratio <= 1 / BETWEEN_LAYERS or ratio >= BETWEEN_LAYERS:
            kind = "vanishing" if ratio < 1 else "exploding"
            evidence = f"the gradient of layer 0 is {ratio:.2g} times that of layer {stack[-1].layer}"
            yield _finding(kind, module or "model", evidence, numbers, cell, "layers")


def _of_updates(trace: Measurements, exploding: bool) -> Iterator[Finding]:
    moved = [
        float(one.update_norms.norm() / one.weight_norms.norm())
        for one in trace.updates
        if float(one.weight_norms.norm())
    ]
    ratio = statistics.median(moved) if moved else math.inf
    barely = ("weights barely move",) if ratio < BARELY else ()
    often = sum(clip.clipped for clip in trace.clips) / max(1, len(trace.clips))
    always = len(trace.clips) >= ENOUGH_CLIPS and often >= ALWAYS
    if always and not exploding:
        norm = statistics.median(clip.norm for clip in trace.clips)
        evidence = f"{often:.0%} of {len(trace.clips)} steps were clipped; the median norm before is {norm:.3g}"
        numbers = {"fraction": often, "norm": norm}
        yield _finding("clipping at every step", "model", evidence, numbers, None, consequences=barely)
    elif barely:
        evidence = f"a step changes them by {ratio:.1e} of their size"
        yield _finding("weights barely move", "model", evidence, {"ratio": ratio}, None)


def _name(trace: Measurements, location: Location) -> str:
    return "model" if trace.short else str(location)


def _finding(
    kind: str,
    layer: str,
    evidence: str,
    numbers: dict[str, float],
    cell: Cell | None,
    gate: str = "",
    consequences: tuple[str, ...] = (),
) -> Finding:
    return Finding(kind, layer, evidence, numbers, advice_for(kind, cell, gate), page_of(kind), consequences)


def _count(number: int, of: str) -> str:
    return f"{number} {of}{'' if number == 1 else 's'}"
