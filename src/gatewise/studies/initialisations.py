"""What C4 and C5 measure: the rate of the gradient at initialisation, and the lengths of adding that are learned."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gatewise.layers import Clip, Recurrent
from gatewise.layers.options import Scheme
from gatewise.studies.gradient_rates import gradient_rate
from gatewise.studies.learning import learn
from gatewise.studies.measurements import Measurements
from gatewise.studies.problems import AddingSum, Network
from gatewise.studies.statistics import Comparison, compare, interval_of_mean, share
from gatewise.studies.study import Budget, Outcome, Settings, Study, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES: dict[Budget, dict[str, Any]] = {
    "full": {"lengths": (20, 50, 100), "sequences": 20_000, "width": 64},
    "quick": {"lengths": (20, 50), "sequences": 12_000, "width": 64},
    "tiny": {"lengths": (5,), "sequences": 32, "width": 8},
}
LADDER = """
Adding as in Le et al. 2015 (values in [0, 1]; always answering 1 has a mean squared error of 1/6), from new weights on
lengths 20, 50, 100 (quick: 20, 50), until one is not solved: a mean squared error below 0.01 over the last 320
sequences. At most 20,000 sequences for each length (quick: 12,000), Adam, batches of 16, gradient norm clipped at 1,
64 units. The rate at initialisation is that of C1: the slope of the logarithm of the gradient's norm over 60 steps, one
sequence of normal inputs, the loss at the last step.
"""


class LadderStudy(Study):
    """A study of the rate at initialisation, and of the lengths of adding that are learned.

    A subclass names its conditions, and concludes.

    Attributes:
        pairs: the activation and the initialiser of each condition.
    """

    pairs: ClassVar[tuple[tuple[str, Scheme], ...]]
    learning_rates = (3e-4, 1e-3, 3e-3)

    def tuned(self, budget: Budget) -> dict[str, Settings]:
        """Every condition, at the shortest length."""
        lengths = SIZES[budget]["lengths"][:1]
        return {
            f"{activation}, {scheme}": {
                "activation": activation,
                "scheme": scheme,
                **SIZES[budget],
                "lengths": lengths,
            }
            for activation, scheme in self.pairs
        }

    def conditions(self, budget: Budget, rates: Mapping[str, float]) -> dict[str, Settings]:
        lengths = SIZES[budget]["lengths"]
        return {
            name: {**settings, "lengths": lengths, "rate": rates[name]} for name, settings in self.tuned(budget).items()
        }

    def measure(self, settings: Settings, seed: int) -> Outcome:
        return _measure(settings, seed)

    def draw(self, measured: Measurements, figure: "Figure") -> None:
        _draw(measured, figure)


def compare_conditions(measured: Measurements, first: str, second: str, what: str) -> tuple[Comparison, Comparison]:
    """The distance of the rate from 0, and the lengths solved, of two conditions.

    Args:
        measured: the measurements.
        first, second: the conditions.
        what: how their difference is called.
    """
    distances = [_distances_from_zero(measured, name) for name in (first, second)]
    rungs = [measured.values(name, "rungs") for name in (first, second)]
    return (
        compare(f"{what}distance of the rate from 0", "for a step", *distances),
        compare(f"{what}lengths solved", "rungs", *rungs),
    )


def _measure(settings: Settings, seed: int) -> Outcome:

    def layer(inputs: int, dtype: torch.dtype = torch.float32) -> Recurrent:
        cell, width = f"rnn_{settings['activation']}", settings["width"]
        return Recurrent(cell, inputs, width, init=settings["scheme"], dtype=dtype)

    found = gradient_rate(layer(16, torch.float64), torch.randn(60, 1, 16, dtype=torch.float64))
    runs: list[dict[str, Any]] = []
    for length in settings["lengths"]:
        torch.manual_seed(seed)
        problem = AddingSum(length)
        training = learn(
            problem,
            Network(layer(problem.input_size), problem),
            torch.Generator().manual_seed(seed),
            rate=settings["rate"],
            sequences=settings["sequences"],
            clip=Clip(norm=1.0),
        )
        runs.append({"length": length, "score": training.score(settings["sequences"]), **training.as_outcome()})
        if training.solved_after is None:
            break
    solved = [run for run in runs if run["solved_after"] is not None]
    return {
        "gradient_rate": found.rate,
        "rungs": len(solved),
        "longest_solved": solved[-1]["length"] if solved else 0,
        "diverged": runs[-1]["diverged"],
        "score": runs[0]["score"],
        "runs": runs,
    }


def _distances_from_zero(measured: Measurements, condition: str) -> list[float]:
    """How far the rate of each seed is from 0, where the gradient neither shrinks nor grows.

    A gradient that is gone within the ten steps nearest to the loss has no rate, and counts as 50.
    """
    return [50.0 if rate is None else abs(rate) for rate in measured.values(condition, "gradient_rate")]


def table_of(measured: Measurements) -> Table:
    """Rates and solved lengths of every condition."""
    lengths = next(iter(measured.settings.values()))["lengths"]
    rows: list[tuple[str, ...]] = []
    for name in measured.conditions:
        rates = [-50.0 if rate is None else rate for rate in measured.values(name, "gradient_rate")]
        low, high = interval_of_mean(rates)
        longest = measured.values(name, "longest_solved")
        solved = (share(sum(one >= length for one in longest), len(longest)) for length in lengths)
        rows.append((name, f"{sum(rates) / len(rates):+.3f} ({low:+.3f} to {high:+.3f})", *solved))
    columns = ("condition", "rate at initialisation (95 % interval)", *(f"T = {length}" for length in lengths))
    return Table("Rate for a step in nats, and seeds that solved each length", columns, tuple(rows))


def _draw(measured: Measurements, figure: "Figure") -> None:
    """Rates on the left, the longest solved length on the right, every seed."""
    left, right = figure.subplots(1, 2, sharey=True)
    names = measured.conditions
    lengths = measured.settings[names[0]]["lengths"]
    for index, name in enumerate(names):
        seeds = range(len(measured.seeds))
        rates = [rate for rate in measured.values(name, "gradient_rate") if rate is not None]
        left.plot(rates, [index] * len(rates), "o", alpha=0.5, color="C0")
        spread = [index + 0.5 * ((seed + 0.5) / len(measured.seeds) - 0.5) for seed in seeds]
        right.plot(measured.values(name, "rungs"), spread, "o", alpha=0.6, color="C1")
    left.axvline(0, color="grey", linewidth=0.8)
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    left.set_xlabel("rate of the gradient at initialisation, for a step")
    right.set_xticks(range(len(lengths) + 1), ["none", *map(str, lengths)])
    right.set_xlabel("longest adding solved, each seed")
    for axes in (left, right):
        axes.grid(alpha=0.3)
