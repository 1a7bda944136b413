"""What a benchmark found. Standard library alone; `Outcome.as_dict` is what ``--json`` prints."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gatewise.benchmarks.points import Point
from gatewise.benchmarks.spread import Spread, geometric_mean

FORMAT = 1


@dataclass(frozen=True)
class Row:
    """One side at one point.

    Attributes:
        side: its name.
        kind: ``ours``, ``peer`` (something else that computes the same) or ``own`` (ours on a lighter task).
        us_per_step: microseconds per step of the batch; where rows are ragged, per step of as many rows as are valid.
        ratio: its time over ours, in the same round; of ``own`` ours over its. None for our first row.
        gflops: of the matrix products.
        share_of_mm: of the rate of `torch.mm` in the same rounds.
        excess: its largest error over the rule of the tests.
    """

    side: str
    kind: str
    us_per_step: Spread
    ratio: Spread | None
    gflops: float
    share_of_mm: float
    excess: float


@dataclass(frozen=True)
class Loop:
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
    """One point.

    Attributes:
        point: what was computed.
        backend: what `auto` chose.
        mm_gflops: of `torch.mm` at (64·B, H) × (H, G·H).
        checked_steps: steps that were compared with the reference, fewer than T where all would take minutes.
        rows: ours first.
        wrong: by side, why no time is told.
        absent: sides that are not there, and why.
        loop: of the fused kernels; None on other backends.
    """

    point: Point
    backend: str
    mm_gflops: float
    checked_steps: int
    rows: tuple[Row, ...]
    wrong: dict[str, str]
    absent: tuple[str, ...]
    loop: Loop | None

    @property
    def ours_is_wrong(self) -> bool:
        """Whether it is our own answer that is wrong."""
        return any(side.startswith(("gatewise", "our")) for side in self.wrong)


@dataclass(frozen=True)
class Mean:
    """Geometric mean of a ratio over points of one cell and mode.

    Attributes:
        cell, mode: of the points.
        side: what ours is compared with; ``best peer`` is the fastest other one at each point.
        ratio: the mean.
        least, most: over the points.
        points: how many.
    """

    cell: str
    mode: str
    side: str
    ratio: float
    least: float
    most: float
    points: int


BEST_PEER = "best peer"


@dataclass
class Outcome:
    """Everything a run found.

    Attributes:
        grid: its name.
        machine: versions, threads, processor.
        pairs: rounds at every point.
        load_average: at the start.
        others_processors: how many processors others kept busy meanwhile; None where the system does not tell.
        warnings: why the times may say little.
        absent: libraries that are not installed.
        comparisons: by point.
        left_out: points that were not measured, by the reason.
    """

    grid: str
    machine: dict[str, str | int]
    pairs: int
    load_average: float
    others_processors: float | None = None
    warnings: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

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
    """Geometric means of the ratios by cell, mode and side."""
    ratios: dict[tuple[str, str, str], list[float]] = {}
    for comparison in comparisons:
        cell, mode = comparison.point.cell, comparison.point.mode
        of_peers: list[float] = []
        for row in comparison.rows:
            if row.ratio is None:
                continue
            ratios.setdefault((cell, mode, row.side), []).append(row.ratio.median)
            if row.kind == "peer":
                of_peers.append(row.ratio.median)
        if of_peers:
            ratios.setdefault((cell, mode, BEST_PEER), []).append(min(of_peers))
    return [Mean(*key, geometric_mean(found), min(found), max(found), len(found)) for key, found in ratios.items()]
