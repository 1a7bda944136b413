"""One case: all contenders checked, then timed together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal, NamedTuple, get_args

from benchmarks.agreement import Reference
from benchmarks.cases import PLAIN, Case, Grid
from benchmarks.contenders import (
    COMPILED_STEPS,
    Contender,
    Local,
    LoopTimer,
    MatrixProduct,
    chosen_backend,
    our_steps,
    ours,
    python_loop,
    torch_nn,
)
from benchmarks.inputs import make_inputs
from benchmarks.results import Comparison, ContenderResult, LoopBreakdown
from benchmarks.statistics import quartiles
from benchmarks.timing import interleaved
from benchmarks.workers.client import Worker, WorkerError

PeerName = Literal["torch", "loop", "compiled", "onnxruntime", "jax"]
PEERS: tuple[PeerName, ...] = get_args(PeerName)


class Entry(NamedTuple):
    """A contender, what it is (see `ContenderResult`), and the case that it computes."""

    contender: Contender
    kind: str
    case: Case


@dataclass(frozen=True)
class Lineup:
    """Who takes part at a case.

    Attributes:
        entries: those that do, ours first.
        wrong: by contender, why it was not timed.
        unavailable: why others do not.
        error_ratio: by contender, its largest error over the rule of the tests.
    """

    entries: list[Entry]
    wrong: dict[str, str]
    unavailable: list[str]
    error_ratio: dict[str, float]


def compare(case: Case, grid: Grid, peers: Sequence[PeerName], workers: Mapping[str, Worker], pairs: int) -> Comparison:
    """Check and time one case."""
    short = case.shortened()
    lineup = checked(candidates(short, grid, peers, workers))
    if short != case and lineup.entries:
        # The same contenders, at full length.
        at_full_length, unavailable = candidates(case, grid, peers, workers)
        right = [entry for entry in at_full_length if entry.contender.name in lineup.error_ratio]
        lineup = replace(lineup, entries=right, unavailable=list(dict.fromkeys([*lineup.unavailable, *unavailable])))
    backend = chosen_backend(case)
    product = MatrixProduct(case)
    if not any(entry.kind == "ours" for entry in lineup.entries):
        return Comparison(case, backend, 0.0, short.T, (), lineup.wrong, tuple(lineup.unavailable), None)
    inside = [
        LoopTimer(entry.contender, case.mode == "training")
        for entry in lineup.entries[:1]
        if backend == "cpu" and isinstance(entry.contender, Local) and not case.stream
    ]
    contenders: list[Contender] = [*(entry.contender for entry in lineup.entries), product, *inside]
    rounds = interleaved(contenders, pairs)
    mm = product.operations / median(rounds[len(lineup.entries)])
    row_steps = [make_inputs(entry.case).row_steps for entry in lineup.entries]
    # Seconds of a step of the batch; of as many rows as are valid, where they are ragged.
    taken = [[seconds * case.B / steps for seconds in times] for steps, times in zip(row_steps, rounds, strict=False)]
    rows: list[ContenderResult] = []
    for index, entry in enumerate(lineup.entries):
        ratio = None
        if index > 0:
            both = zip(taken[0], taken[index], strict=True)
            ratio = quartiles([mine / its if entry.kind == "baseline" else its / mine for mine, its in both])
        rate = entry.case.operations(row_steps[index]) / median(rounds[index])
        microseconds = quartiles([1e6 * seconds for seconds in taken[index]])
        error_ratio = lineup.error_ratio[entry.contender.name]
        rows.append(
            ContenderResult(entry.contender.name, entry.kind, microseconds, ratio, rate / 1e9, rate / mm, error_ratio)
        )
    loop = _loop(case, inside[0], row_steps[0], mm) if inside else None
    return Comparison(case, backend, mm / 1e9, short.T, tuple(rows), lineup.wrong, tuple(lineup.unavailable), loop)


def candidates(
    case: Case, grid: Grid, peers: Sequence[PeerName], workers: Mapping[str, Worker]
) -> tuple[list[Entry], list[str]]:
    """Everyone who could take part, ours first, and why others cannot."""
    entries = [Entry(ours(case), "ours", case)]
    unavailable: list[str] = []
    if chosen_backend(case) != "cpu":
        try:
            entries.append(Entry(ours(case, "cpu"), "ours", case))
        except ValueError as error:
            unavailable.append(f"gatewise cpu: {error}")
    entries += _lighter(case, grid)
    for peer in peers:
        # Times are compared by step, so a loop that is compiled may be shorter.
        own = replace(case, T=min(case.T, COMPILED_STEPS)) if peer == "compiled" else case
        try:
            contender = _peer(own, peer, workers)
        except WorkerError as error:
            contender = str(error)
        if isinstance(contender, str):
            unavailable.append(contender)
        else:
            entries.append(Entry(contender, "peer", own))
    return entries, unavailable


def _lighter(case: Case, grid: Grid) -> list[Entry]:
    """Baselines: ours on the lighter case that this one'''s overhead is relative to."""
    if case.ragged:
        full = replace(case, ragged=False)
        return [Entry(ours(full, name="our padded batch"), "baseline", full)]
    if case.reset:
        whole = replace(case, reset=0.0)
        return [Entry(ours(whole, name="ours without resets"), "baseline", whole)]
    if case.stream:
        whole = replace(case, stream=False)
        return [
            Entry(our_steps(case), "baseline", case),
            Entry(ours(whole, name="our whole sequence"), "baseline", whole),
        ]
    if grid == "variants":
        plain = replace(case, cell=PLAIN[case.cell])
        return [Entry(ours(plain, name=f"our {plain.cell}"), "baseline", plain)]
    return []


def _peer(case: Case, peer: PeerName, workers: Mapping[str, Worker]) -> Contender | str:
    if peer == "torch":
        return torch_nn(case)
    if peer in ("loop", "compiled"):
        if case.stream:
            return f"{peer} is for whole sequences"
        return python_loop(case, compiled=peer == "compiled")
    return workers[peer].contender(case)


def checked(everyone: tuple[list[Entry], list[str]]) -> Lineup:
    """Those with correct answers; none if gatewise's is wrong."""
    entries, unavailable = everyone
    references: dict[Case, Reference] = {}
    lineup = Lineup([], {}, list(unavailable), {})
    for entry in entries:
        contender = entry.contender
        if entry.case not in references:
            references[entry.case] = Reference(entry.case)
        try:
            agreement = references[entry.case].agreement(contender)
        except WorkerError as error:
            lineup.unavailable.append(str(error))
            continue
        if agreement.wrong is not None:
            lineup.wrong[contender.name] = agreement.wrong
            if entry is entries[0]:
                break
            continue
        lineup.error_ratio[contender.name] = agreement.error_ratio
        lineup.entries.append(entry)
    return lineup


def _loop(case: Case, inside: LoopTimer, row_steps: int, mm: float) -> LoopBreakdown:
    """The medians of the loop's parts."""

    def of(part: str) -> float:
        return median(getattr(times, part) for times in inside.times)

    forward, backward, products = of("forward"), of("backward"), of("products")
    operations = case.loop_operations(row_steps)
    to_step = 1e6 * case.B / row_steps
    training = case.mode == "training"
    return LoopBreakdown(
        forward * to_step,
        operations / forward / mm,
        backward * to_step if training else None,
        operations / backward / mm if training else None,
        1e6 * products,
        1e6 * (of("whole") - forward - backward - products),
    )
