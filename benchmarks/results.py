"""What a benchmark found. Standard library alone; `BenchmarkResults.as_dict` is what ``--json`` prints."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.cases import Case
from benchmarks.statistics import Quartiles, geometric_mean

FORMAT = 2


@dataclass(frozen=True)
class ContenderResult:
    """One contender at one case.

    Attributes:
        contender: its name.
        kind: ``ours``, ``peer`` (something else that computes the same) or ``baseline`` (ours on a lighter task).
        us_per_step: microseconds per step of the batch; where rows are ragged, per step of as many rows as are valid.
        ratio: its time over ours, in the same round; of ``baseline`` ours over its. None for our first row.
        gflops: of the matrix products.
        share_of_mm: of the rate of `torch.mm` in the same rounds.
        error_ratio: its largest error over the rule of the tests.
    """

    contender: str
    kind: str
    us_per_step: Quartiles
    ratio: Quartiles | None
    gflops: float
    share_of_mm: float
    error_ratio: float


@dataclass(frozen=True)
class LoopBreakdown:
    """The recurrent loop alone, within our calls.

    Attributes:
        forward_us, backward_us: per step; backward is None in inference.
        forward_share_of_mm, backward_share_of_mm: of the rate of `torch.mm`.
        products_us: a call's products of whole matrices, before and after the loops.
        rest_us: what a call spends on neither.
    """

    forward_us: float
    forward_share_of_mm: float
    backward_us: float | None
    backward_share_of_mm: float | None
    products_us: float
    rest_us: float


@dataclass(frozen=True)
class Comparison:
    """One case.

    Attributes:
        case: what was computed.
        backend: what `auto` chose.
        mm_gflops: of `torch.mm` at (64·B, H) × (H, G·H).
        checked_steps: steps that were compared with the reference, fewer than T where all would take minutes.
        rows: ours first.
        wrong: by contender, why it was not timed.
        unavailable: contenders that are not there, and why.
        loop: of the fused kernels; None on other backends.
    """

    case: Case
    backend: str
    mm_gflops: float
    checked_steps: int
    rows: tuple[ContenderResult, ...]
    wrong: dict[str, str]
    unavailable: tuple[str, ...]
    loop: LoopBreakdown | None

    @property
    def ours_is_wrong(self) -> bool:
        """Whether it is our own answer that is wrong."""
        return any(contender.startswith(("gatewise", "our")) for contender in self.wrong)


@dataclass(frozen=True)
class Mean:
    """Geometric mean of a ratio over cases of one cell and mode.

    Attributes:
        cell, mode: of the cases.
        contender: what ours is compared with; ``best peer`` is the fastest other one at each case.
        ratio: the mean.
        least, most: over the cases.
        cases: how many.
    """

    cell: str
    mode: str
    contender: str
    ratio: float
    least: float
    most: float
    cases: int


BEST_PEER = "best peer"


@dataclass
class BenchmarkResults:
    """Everything a run found.

    Attributes:
        grid: its name.
        machine: versions, threads, processor.
        pairs: rounds at every case.
        load_average: at the start.
        other_processes: how many processors others kept busy meanwhile; None where the system does not tell.
        warnings: why the times may say little.
        unavailable: libraries that are not installed.
        comparisons: by case.
        skipped: cases that were not measured, by the reason.
    """

    grid: str
    machine: dict[str, str | int]
    pairs: int
    load_average: float
    other_processes: float | None = None
    warnings: list[str] = field(default_factory=list)
    unavailable: list[str] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    @property
    def means(self) -> list[Mean]:
        """Geometric means over the grid."""
        return means(self.comparisons)

    @property
    def ours_is_wrong(self) -> bool:
        """Whether our own answer was wrong anywhere."""
        return any(comparison.ours_is_wrong for comparison in self.comparisons)

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"format": FORMAT, **asdict(self), "geometric_means": [asdict(mean) for mean in self.means]}


def means(comparisons: Sequence[Comparison]) -> list[Mean]:
    """Geometric means of the ratios by cell, mode and contender."""
    ratios: dict[tuple[str, str, str], list[float]] = {}
    for comparison in comparisons:
        cell, mode = comparison.case.cell, comparison.case.mode
        of_peers: list[float] = []
        for row in comparison.rows:
            if row.ratio is None:
                continue
            ratios.setdefault((cell, mode, row.contender), []).append(row.ratio.median)
            if row.kind == "peer":
                of_peers.append(row.ratio.median)
        if of_peers:
            ratios.setdefault((cell, mode, BEST_PEER), []).append(min(of_peers))
    return [Mean(*key, geometric_mean(found), min(found), max(found), len(found)) for key, found in ratios.items()]
