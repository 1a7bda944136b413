"""C3: clipping the gradient prevents divergence, and the network still learns."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from gatewise.layers import Clip, Recurrent
from gatewise.studies.learning import learn
from gatewise.studies.measurements import Measurements
from gatewise.studies.problems import Network, TemporalOrder
from gatewise.studies.statistics import compare, share
from gatewise.studies.study import Budget, Conclusion, Outcome, Reported, Settings, Study, Table, verdict_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH = 50
_CHANCE = math.log(4)
_DIVERGED_ABOVE = 1.5 * _CHANCE
_NONE: dict[str, Any] = {"by": "none", "threshold": 0.0}
_SIZES: dict[Budget, dict[str, Any]] = {
    "full": {
        "length": 30,
        "sequences": 31_390,
        "rates": (0.01, 0.1, 1.0),
        "norm": (0.1, 1.0, 10.0),
        "value": (0.001, 0.01, 0.1),
    },
    "quick": {"length": 20, "sequences": 16_000, "rates": (0.01, 0.1, 1.0), "norm": (0.1, 1.0), "value": (0.01, 0.1)},
    "tiny": {"length": 10, "sequences": 64, "rates": (0.1,), "norm": (1.0,), "value": (0.01,)},
}


class Clipping(Study):
    """Success and divergence of a tanh network against the threshold of clipping and the learning rate."""

    name, word = "C3", "clipping"
    title = "Clipping prevents divergence, and the network still learns"
    claim = (
        "Gradient clipping prevents the divergence of training by exploding gradients, and the network still learns."
    )
    question = (
        "At which learning rates does a tanh network diverge, or learn, without clipping; with clipping by norm; by "
        "value? And if each side has its best rate, does clipping still help?"
    )
    setup = f"""
Temporal order 6a in the set-up of Pascanu, Mikolov & Bengio 2013, scaled down: a network of {_WIDTH} tanh units (Xavier
weights), plain stochastic gradient descent without momentum, batches of 16. Solved: the last 2,000 sequences with every
class probability within 0.3 of its target. Diverged: the mean loss of a fortieth of the run is above 1.5 times that of
chance (ln 4), or the loss or a gradient is not finite. Full: T = 30, at most 31,390 sequences, thresholds of the norm
0.1, 1, 10 and of components 0.001, 0.01, 0.1. Quick: T = 20, at most 16,000 sequences, thresholds 0.1, 1 and 0.01, 0.1.
Learning rates 0.01, 0.1 and 1, all shown; none is tuned.
"""
    equal = "network, initial weights, sequences and learning rates; only the clipping differs"
    prediction = """
Without clipping, training diverges at the rate 1 with nearly every seed and is solved, if at all, only at 0.01. Each
threshold has a range of rates in which training does not diverge and is solved, and the smaller the threshold, the
higher these rates: it is the product of both that bounds a step. With the best rate of each side, the clipped networks
are solved with more seeds than the one without. (Written after trial runs of a single seed at T = 20.)

Rule: for each threshold, the number of the three rates at which a seed diverges, and at which it is solved, is compared
with that without clipping. A threshold confirms the claim if divergences are clearly fewer and solutions clearly more.
The claim holds if every threshold confirms it, depends on the threshold if some do, and else does not hold here.
"""
    literature = (
        Reported(
            "A tanh network with clipping by norm and the regulariser Ω solves temporal order at T = 20 to 200; "
            "clipping prevents divergence by exploding gradients.",
            "Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063",
        ),
    )

    def conditions(self, budget: Budget, rates: Mapping[str, float]) -> dict[str, Settings]:
        sizes = _SIZES[budget]
        kinds = [_NONE, *({"by": by, "threshold": one} for by in ("norm", "value") for one in sizes[by])]
        return {
            f"{_label(kind)}, rate {rate:g}": {
                **kind,
                "rate": rate,
                "length": sizes["length"],
                "sequences": sizes["sequences"],
            }
            for kind in kinds
            for rate in sizes["rates"]
        }

    def measure(self, settings: Settings, seed: int) -> Outcome:
        problem = TemporalOrder(settings["length"])
        clip = None if settings["by"] == "none" else Clip(**{settings["by"]: settings["threshold"]})
        layer = Recurrent("rnn_tanh", problem.input_size, _WIDTH, init="xavier")
        training = learn(
            problem,
            Network(layer, problem),
            torch.Generator().manual_seed(seed),
            rate=settings["rate"],
            sequences=settings["sequences"],
            clip=clip,
            optimiser=torch.optim.SGD,
        )
        worst = max((loss for _, loss in training.curve), default=math.inf)
        return {
            **training.as_outcome(),
            "solved": training.solved_after is not None,
            "diverged": training.diverged or worst > _DIVERGED_ABOVE,
            "clipped_share": None if clip is None else clip.fraction,
        }

    def conclude(self, measured: Measurements) -> Conclusion:
        kinds = _kinds(measured)
        counts = {
            what: {_label(kind): _count(measured, kind, what) for kind in kinds} for what in ("diverged", "solved")
        }
        comparisons = [
            compare(
                f"{label} − no clipping: rates at which training {'is solved' if what == 'solved' else 'diverges'}",
                "rates",
                counts[what][label],
                counts[what][_label(_NONE)],
            )
            for what in ("diverged", "solved")
            for label in map(_label, kinds[1:])
        ]
        fewer = {one.what.partition(" − ")[0] for one in comparisons if "diverges" in one.what and one.is_clearly_less}
        more = {one.what.partition(" − ")[0] for one in comparisons if "solved" in one.what and one.is_clearly_more}
        confirmed = [label for label in map(_label, kinds[1:]) if label in fewer & more]
        best = {
            label: max(sum(measured.values(measured.the(**kind, rate=rate), "solved")) for rate in _rates(measured))
            for label, kind in zip(map(_label, kinds), kinds, strict=True)
        }
        seeds = len(measured.seeds)
        best_clipped = max(kinds[1:], key=lambda kind: best[_label(kind)])
        return Conclusion(
            verdict_of(len(confirmed), len(kinds) - 1, "the threshold"),
            f"Without clipping {sum(counts['diverged'][_label(_NONE)])} of {seeds * len(_rates(measured))} runs "
            f"diverge and {sum(counts['solved'][_label(_NONE)])} are solved; fewer diverge and more are solved with "
            f"{', '.join(confirmed) or 'no threshold'}. At the best rate of each, {best[_label(_NONE)]} of {seeds} "
            f"seeds are solved without clipping, and {best[_label(best_clipped)]} with {_label(best_clipped)}.",
            (_table(measured, "solved"), _table(measured, "diverged")),
            tuple(comparisons),
        )

    def draw(self, measured: Measurements, figure: "Figure") -> None:
        kinds, rates = _kinds(measured), _rates(measured)
        for axes, what in zip(figure.subplots(2, 1, sharex=True), ("solved", "diverged"), strict=True):
            for index, rate in enumerate(rates):
                shares = [
                    sum(measured.values(measured.the(**kind, rate=rate), what)) / len(measured.seeds) for kind in kinds
                ]
                positions = [group + 0.8 * (index + 0.5) / len(rates) - 0.4 for group in range(len(kinds))]
                axes.bar(positions, shares, 0.75 / len(rates), label=f"rate {rate:g}")
            axes.set_ylabel(f"share of seeds {what}")
            axes.set_ylim(0, 1.02)
            axes.grid(axis="y", alpha=0.3)
        figure.axes[-1].set_xticks(range(len(kinds)), [_label(kind) for kind in kinds])
        figure.axes[0].legend()


def _label(kind: Mapping[str, Any]) -> str:
    return "no clipping" if kind["by"] == "none" else f"{kind['by']} ≤ {kind['threshold']:g}"


def _kinds(measured: Measurements) -> list[dict[str, Any]]:
    kinds: list[dict[str, Any]] = []
    for settings in measured.settings.values():
        kind = {"by": settings["by"], "threshold": settings["threshold"]}
        if kind not in kinds:
            kinds.append(kind)
    return kinds


def _rates(measured: Measurements) -> list[float]:
    return sorted({settings["rate"] for settings in measured.settings.values()})


def _count(measured: Measurements, kind: Mapping[str, Any], what: str) -> list[int]:
    """For each seed, the number of rates at which training is so."""
    of_rates = [measured.values(measured.the(**kind, rate=rate), what) for rate in _rates(measured)]
    return [sum(of_seed) for of_seed in zip(*of_rates, strict=True)]


def _table(measured: Measurements, what: str) -> Table:
    rates = _rates(measured)
    rows = [
        (
            _label(kind),
            *(
                share(sum(measured.values(measured.the(**kind, rate=rate), what)), len(measured.seeds))
                for rate in rates
            ),
        )
        for kind in _kinds(measured)
    ]
    columns = ("clipping", *(f"rate {rate:g}" for rate in rates))
    return Table(f"Seeds {what} (95 % interval of the share)", columns, tuple(rows))
