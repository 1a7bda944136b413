"""One point: all sides checked, then timed together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal, NamedTuple, get_args

from gatewise.benchmarks.agreement import Reference
from gatewise.benchmarks.given import given
from gatewise.benchmarks.outcome import Comparison, Loop, Row
from gatewise.benchmarks.points import PLAIN, Grid, Point
from gatewise.benchmarks.sides import (
    InsideLoop,
    Local,
    MatrixProduct,
    Side,
    chosen_backend,
    our_steps,
    ours,
    python_loop,
    torch_nn,
)
from gatewise.benchmarks.spread import spread
from gatewise.benchmarks.timing import interleaved
from gatewise.benchmarks.workers.client import Worker, WorkerError

PeerName = Literal["torch", "loop", "compiled", "onnxruntime", "jax"]
PEERS: tuple[PeerName, ...] = get_args(PeerName)


class Entry(NamedTuple):
    """A side, what it is (see `Row`), and the point that it computes."""

    side: Side
    kind: str
    point: Point


@dataclass(frozen=True)
class Lineup:
    """Who takes part at a point.

    Attributes:
        entries: those that do, ours first.
        wrong: by side, why no time is told.
        absent: why others do not.
        excess: by side, its largest error over the rule of the tests.
    """

    entries: list[Entry]
    wrong: dict[str, str]
    absent: list[str]
    excess: dict[str, float]


def compare(
    point: Point, grid: Grid, peers: Sequence[PeerName], workers: Mapping[str, Worker], pairs: int
) -> Comparison:
    """Check and time one point."""
    short = point.shortened()
    lineup = checked(candidates(short, grid, peers, workers))
    if short != point and lineup.entries:
        # The same sides, at full length.
        at_full_length, absent = candidates(point, grid, peers, workers)
        right = [entry for entry in at_full_length if entry.side.name in lineup.excess]
        lineup = replace(lineup, entries=right, absent=list(dict.fromkeys([*lineup.absent, *absent])))
    backend = chosen_backend(point)
    product = MatrixProduct(point)
    if not any(entry.kind == "ours" for entry in lineup.entries):
        return Comparison(point, backend, 0.0, short.T, (), lineup.wrong, tuple(lineup.absent), None)
    inside = [
        InsideLoop(entry.side, point.mode == "training")
        for entry in lineup.entries[:1]
        if backend == "cpu" and isinstance(entry.side, Local) and not point.stream
    ]
    sides: list[Side] = [*(entry.side for entry in lineup.entries), product, *inside]
    rounds = interleaved(sides, pairs)
    mm = product.operations / median(rounds[len(lineup.entries)])
    row_steps = [given(entry.point).row_steps for entry in lineup.entries]
    # Seconds of a step of the batch; of as many rows as are valid, where they are ragged.
    taken = [[seconds * point.B / steps for seconds in times] for steps, times in zip(row_steps, rounds, strict=False)]
    rows: list[Row] = []
    for at, entry in enumerate(lineup.entries):
        ratio = None
        if at > 0:
            both = zip(taken[0], taken[at], strict=True)
            ratio = spread([mine / its if entry.kind == "own" else its / mine for mine, its in both])
        rate = entry.point.operations(row_steps[at]) / median(rounds[at])
        microseconds = spread([1e6 * seconds for seconds in taken[at]])
        excess = lineup.excess[entry.side.name]
        rows.append(Row(entry.side.name, entry.kind, microseconds, ratio, rate / 1e9, rate / mm, excess))
    loop = _loop(point, inside[0], row_steps[0], mm) if inside else None
    return Comparison(point, backend, mm / 1e9, short.T, tuple(rows), lineup.wrong, tuple(lineup.absent), loop)


def candidates(
    point: Point, grid: Grid, peers: Sequence[PeerName], workers: Mapping[str, Worker]
) -> tuple[list[Entry], list[str]]:
    """Everyone who could take part, ours first, and why others cannot."""
    entries = [Entry(ours(point), "ours", point)]
    absent: list[str] = []
    if chosen_backend(point) != "cpu":
        try:
            entries.append(Entry(ours(point, "cpu"), "ours", point))
        except ValueError as error:
            absent.append(f"gatewise cpu: {error}")
    entries += _lighter(point, grid)
    for peer in peers:
        try:
            side = _peer(point, peer, workers)
        except WorkerError as error:
            side = str(error)
        if isinstance(side, str):
            absent.append(side)
        else:
            entries.append(Entry(side, "peer", point))
    return entries, absent


def _lighter(point: Point, grid: Grid) -> list[Entry]:
    """Ours on the task whose cost this one is told in."""
    if point.ragged:
        full = replace(point, ragged=False)
        return [Entry(ours(full, name="our padded batch"), "own", full)]
    if point.reset:
        whole = replace(point, reset=0.0)
        return [Entry(ours(whole, name="ours without resets"), "own", whole)]
    if point.stream:
        whole = replace(point, stream=False)
        return [Entry(our_steps(point), "own", point), Entry(ours(whole, name="our whole sequence"), "own", whole)]
    if grid == "variants":
        plain = replace(point, cell=PLAIN[point.cell])
        return [Entry(ours(plain, name=f"our {plain.cell}"), "own", plain)]
    return []


def _peer(point: Point, peer: PeerName, workers: Mapping[str, Worker]) -> Side | str:
    if peer == "torch":
        return torch_nn(point)
    if point.stream:
        return f"{peer} is for whole sequences"
    if peer in ("loop", "compiled"):
        return python_loop(point, compiled=peer == "compiled")
    return workers[peer].side(point)


def checked(everyone: tuple[list[Entry], list[str]]) -> Lineup:
    """Those whose answers are right; nobody when ours is not."""
    entries, absent = everyone
    references: dict[Point, Reference] = {}
    lineup = Lineup([], {}, list(absent), {})
    for entry in entries:
        side = entry.side
        if entry.point not in references:
            references[entry.point] = Reference(entry.point)
        try:
            agreement = references[entry.point].agreement(side)
        except WorkerError as error:
            lineup.absent.append(str(error))
            continue
        if agreement.wrong is not None:
            lineup.wrong[side.name] = agreement.wrong
            if entry is entries[0]:
                break
            continue
        lineup.excess[side.name] = agreement.excess
        lineup.entries.append(entry)
    return lineup


def _loop(point: Point, inside: InsideLoop, row_steps: int, mm: float) -> Loop:
    """The medians of the loop's parts."""

    def of(part: str) -> float:
        return median(getattr(times, part) for times in inside.times)

    forward, backward, products = of("forward"), of("backward"), of("products")
    operations = point.loop_operations(row_steps)
    to_step = 1e6 * point.B / row_steps
    training = point.mode == "training"
    return Loop(
        forward * to_step,
        operations / forward / mm,
        backward * to_step if training else None,
        operations / backward / mm if training else None,
        1e6 * products,
        1e6 * (of("whole") - forward - backward - products),
    )
