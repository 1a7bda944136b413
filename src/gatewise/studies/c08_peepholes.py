"""C8: peepholes help where time must be measured."""

from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from gatewise.layers import Clip, Recurrent
from gatewise.studies.learning import learn
from gatewise.studies.measurements import Measurements
from gatewise.studies.problems import Network, Problem
from gatewise.studies.statistics import compare, share
from gatewise.studies.study import Budget, Conclusion, Outcome, Reported, Settings, Study, Table, verdict_of
from gatewise.studies.timing_problems import GenerateSpikes, MeasureDelays, SquareWave

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PROBLEMS: dict[str, type[Problem]] = {
    "measured delays": MeasureDelays,
    "timed spikes": GenerateSpikes,
    "square wave": SquareWave,
}
_GENERATED = ("timed spikes", "square wave")  # where the paper found that peepholes matter
_CELLS = {"LSTM": "lstm", "diagonal": "peephole_lstm", "full": "peephole_lstm_full"}
_LENGTHS = {"measured delays": 60, "timed spikes": 60, "square wave": 100}
_BATCHES = {"measured delays": 16, "timed spikes": 16, "square wave": 1}
_LONGER = 5
_TESTED = 64
_SIZES: dict[Budget, dict[str, Any]] = {
    "full": {
        "updates": 4000,
        "widths": {"LSTM": 24, "diagonal": 24, "full": 18},
    },
    "quick": {
        "updates": 2000,
        "widths": {"LSTM": 24, "diagonal": 24, "full": 18},
    },
    "tiny": {
        "updates": 4,
        "widths": {"LSTM": 8, "diagonal": 8, "full": 6},
    },
}


class Peepholes(Study):
    """LSTM with diagonal, full and no peepholes on timing tasks."""

    name, word = "C8", "peepholes"
    title = "Peepholes help where time must be measured"
    claim = (
        "An LSTM whose gates see the cell state through peepholes learns to measure and to generate exact intervals "
        "of time that an LSTM without them does not learn, or learns more slowly."
    )
    question = (
        "With equal parameters and back-propagation through all steps, do peepholes reduce the sequences that are "
        "needed to learn three timing tasks? Do full matrices differ from the diagonal peepholes of the literature?"
    )
    setup = """
Three tasks after Gers, Schraudolph & Schmidhuber 2002, which is known here second hand:

- *measured delays*: spikes 10, 11 or 12 steps apart; at each spike, the answer is how many more than 10 (T = 60).
  Solved when every delay of the last 320 sequences is right after rounding;
- *timed spikes*: the input is that number, the answer a spike after the interval, again and again (T = 60). Solved when
  the last 320 sequences have a probability above ½ at every spike and nowhere else;
- *square wave*: no input; the answer is a square wave of period 25 (T = 100). Solved when the error of ten updates in a
  row stays below 0.3 at every step. There is only one such sequence, so a batch has one.

One layer, a linear readout, Adam, batches of 16 (square wave: 1), gradient norm clipped at 1, a forget bias of 1. LSTM
and diagonal peepholes have 24 units, full peepholes 18. After training, 64 new sequences of five times the length (the
square wave: one) show whether what was learned lasts. Full: at most 4,000 updates; quick: 2,000.

Lengths and numbers of updates were settled by trial runs of the LSTM alone on a seed that is not used here.
"""
    equal = (
        "parameters of the layer within 4 % of the LSTM's, its second, redundant bias vector not counted; sequences, "
        "batches and clipping; learning rates are chosen for each"
    )
    prediction = """
Measured delays: no clear difference between the three, as was published. Timed spikes and square wave: with the
gradient through all gates, which the paper cut, the LSTM without peepholes learns both in most seeds, since its output
gate can show the other gates a part of the cell state. Diagonal peepholes need fewer sequences on average, but the
difference is not clear. Full peepholes, with fewer units, are not faster than diagonal ones. So the claim does not hold
here. (Written before any run.)

Rule: on a task, peepholes help if diagonal ones need clearly fewer sequences until solved than the LSTM (the interval
of the mean paired difference is below 0, and p at most 0.05 or the least that so many pairs can give); a seed that does
not solve the task counts with all its sequences. The claim holds if they help on both timed spikes and the square wave,
depends on the task if on one, and else does not hold here. Measured delays, where the paper saw no difference, and full
peepholes, which it did not have, are reported beside it.
"""
    literature = (
        Reported(
            "Measuring spike delays is solved with and without peepholes; timed spikes and periodic functions other "
            "than a cosine of period 10 are learned only with them, by nets whose gradient is cut at the gates.",
            "Gers, Schraudolph & Schmidhuber 2002, Journal of Machine Learning Research 3 (known here second hand)",
        ),
        Reported(
            "No variant of the LSTM is significantly better than the plain one; peepholes can be left out.",
            "Greff et al. 2017, arXiv:1503.04069",
        ),
    )
    learning_rates = (3e-3, 1e-2, 3e-2)
    seeds: ClassVar[Mapping[Budget, int]] = {"quick": 10, "full": 20, "tiny": 1}

    def tuned(self, budget: Budget) -> dict[str, Settings]:
        sizes = _SIZES[budget]
        return {
            _name(task, cell): {
                "task": task,
                "cell": cell,
                "length": _LENGTHS[task],
                "width": sizes["widths"][cell],
                "sequences": sizes["updates"] * _BATCHES[task] // 2,
            }
            for task in _PROBLEMS
            for cell in _CELLS
        }

    def conditions(self, budget: Budget, rates: Mapping[str, float]) -> dict[str, Settings]:
        return {
            name: {**settings, "sequences": _SIZES[budget]["updates"] * _BATCHES[settings["task"]], "rate": rates[name]}
            for name, settings in self.tuned(budget).items()
        }

    def measure(self, settings: Settings, seed: int) -> Outcome:
        task = settings["task"]
        problem = _PROBLEMS[task](settings["length"])
        torch.manual_seed(seed)
        layer = Recurrent(_CELLS[settings["cell"]], problem.input_size, settings["width"])
        network = Network(layer, problem)
        generator = torch.Generator().manual_seed(seed)
        training = learn(
            problem,
            network,
            generator,
            rate=settings["rate"],
            sequences=settings["sequences"],
            batch=_BATCHES[task],
            clip=Clip(norm=1.0),
        )
        longer = _PROBLEMS[task](_LONGER * settings["length"])
        with torch.no_grad():
            drawn = longer.draw(_TESTED, generator)
            right = longer.judge(network(drawn), drawn).right
        return {
            "parameters": _parameters(layer),
            "score": training.score(settings["sequences"]),
            "sequences_needed": training.solved_after or settings["sequences"],
            "right_at_longer": float(right.float().mean()),
            **training.as_outcome(),
        }

    def conclude(self, measured: Measurements) -> Conclusion:
        comparisons = {
            (task, first, second): compare(
                f"{task}: {first} − {second}, sequences until solved",
                "sequences",
                measured.values(_name(task, first), "sequences_needed"),
                measured.values(_name(task, second), "sequences_needed"),
            )
            for task in _PROBLEMS
            for first, second in (("diagonal", "LSTM"), ("full", "LSTM"), ("full", "diagonal"))
        }
        helped = [task for task in _GENERATED if comparisons[task, "diagonal", "LSTM"].is_clearly_less]
        medians = "; ".join(
            f"{task}: "
            + ", ".join(
                f"{cell} {median(measured.values(_name(task, cell), 'sequences_needed')):,.0f}" for cell in _CELLS
            )
            for task in _PROBLEMS
        )
        return Conclusion(
            verdict_of(len(helped), len(_GENERATED), "the task"),
            f"Diagonal peepholes need clearly fewer sequences than the LSTM on "
            f"{' and '.join(helped) or 'neither of ' + ' and '.join(_GENERATED)}. "
            f"Median sequences until solved, or until the end: {medians}.",
            (_table(measured),),
            tuple(comparisons.values()),
            (
                "Gers et al. cut the gradient at the gates and trained online, so a plain LSTM could not learn there "
                "what it can learn here; these numbers do not contradict theirs.",
            ),
        )

    def draw(self, measured: Measurements, figure: "Figure") -> None:
        for axes, task in zip(figure.subplots(1, len(_PROBLEMS)), _PROBLEMS, strict=True):
            limit = measured.settings[_name(task, "LSTM")]["sequences"]
            for index, cell in enumerate(_CELLS):
                outcomes = measured.outcomes[_name(task, cell)]
                for seed, outcome in enumerate(outcomes):
                    position = index + 0.5 * ((seed + 0.5) / len(outcomes) - 0.5)
                    solved = outcome["solved_after"] is not None
                    axes.plot(
                        position, outcome["sequences_needed"], "o" if solved else "x", color=f"C{index}", alpha=0.7
                    )
                middle = median([outcome["sequences_needed"] for outcome in outcomes])
                axes.plot([index - 0.3, index + 0.3], [middle, middle], color=f"C{index}")
            axes.axhline(limit, color="grey", linestyle=":", linewidth=1)
            axes.set_ylim(0, 1.05 * limit)
            axes.set_xticks(range(len(_CELLS)), list(_CELLS))
            axes.set_title(task)
            axes.grid(axis="y", alpha=0.3)
        figure.axes[0].set_ylabel("sequences until solved, each seed\n(× not solved; line: median)")


def _name(task: str, cell: str) -> str:
    return f"{task}, {cell}"


def _parameters(layer: Recurrent) -> int:
    """The parameters of a layer, a second bias vector, which adds nothing, not counted."""
    return sum(one.numel() for name, one in layer.named_parameters() if not name.startswith("bias_hh"))


def _table(measured: Measurements) -> Table:
    rows: list[tuple[str, ...]] = []
    for task in _PROBLEMS:
        for cell in _CELLS:
            outcomes = measured.outcomes[_name(task, cell)]
            solved = sorted(one["solved_after"] for one in outcomes if one["solved_after"] is not None)
            longer = sum(one["right_at_longer"] for one in outcomes) / len(outcomes)
            rows.append(
                (
                    task,
                    cell,
                    f"{outcomes[0]['parameters']:,}",
                    f"{measured.rates[_name(task, cell)]:g}",
                    share(len(solved), len(outcomes)),
                    ", ".join(f"{count:,}" for count in solved) or "–",
                    f"{100 * longer:.0f} %",
                )
            )
    return Table(
        "Seeds that solved each task, their sequences, and the mean share of right sequences at five times the length",
        ("task", "peepholes", "parameters", "rate", "solved (95 % interval)", "sequences until solved", "5 T right"),
        tuple(rows),
    )
