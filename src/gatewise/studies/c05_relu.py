"""C5: ReLU, suitably initialised, is less prone to vanishing than tanh or sigmoid."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gatewise.studies.initialisations import (
    LADDER,
    LEARNING_RATES,
    distances_from_zero,
    draw_ladder,
    measure_initialisation,
    settings_of,
    shortest,
    table_of,
)
from gatewise.studies.measurements import Measurements
from gatewise.studies.statistics import compare
from gatewise.studies.study import Budget, Conclusion, Outcome, Reported, Settings, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CONDITIONS = (
    ("relu", "identity"),
    ("relu", "he"),
    ("tanh", "orthogonal"),
    ("tanh", "xavier"),
    ("sigmoid", "orthogonal"),
    ("sigmoid", "xavier"),
)
_RELU = "relu, identity"


class Relu(Study):
    """ReLU with identity weights against tanh and sigmoid with theirs."""

    name, word = "C5", "relu"
    title = "ReLU, suitably initialised, is less prone to vanishing than tanh or sigmoid"
    claim = "ReLU, suitably initialised, is less prone to vanishing gradients than tanh or sigmoid."
    question = (
        "With identity recurrent weights, is the rate of a ReLU network nearer to 0 than that of tanh and sigmoid with "
        "their initialisers, and does it learn greater lengths of adding?"
    )
    setup = "ReLU with identity and He weights, tanh and sigmoid with orthogonal and Xavier weights.\n" + LADDER
    equal = "width, parameters, data and updates; learning rates are chosen for each"
    prediction = """
With identity weights the ReLU's rate is near 0, tanh with orthogonal weights is next, the sigmoid's is below −1. The
ReLU network with identity weights solves greater lengths than tanh and sigmoid; the sigmoid solves none. ReLU with He
weights is no better than tanh: suitable initialisation is what matters.

Rule: against each of the four others, the distance of the rate from 0 must be clearly smaller, and clearly more
lengths solved, with ReLU and identity weights. The claim holds if both are so against all four, depends on what it is
compared with if both are so against some, and else does not hold here.
"""
    literature = (
        Reported(
            "ReLU networks with identity recurrent weights learn adding at T = 150 to 400, where tanh networks fail.",
            "Le, Jaitly & Hinton 2015, arXiv:1504.00941",
        ),
    )
    learning_rates = LEARNING_RATES

    def tuned(self, budget: Budget) -> dict[str, Settings]:
        return {
            f"{activation}, {scheme}": shortest(settings_of(activation, scheme, budget))
            for activation, scheme in _CONDITIONS
        }

    def score(self, outcome: Outcome) -> float:
        return outcome["score"]

    def conditions(self, budget: Budget, rates: Mapping[str, float]) -> dict[str, Settings]:
        return {
            f"{activation}, {scheme}": {
                **settings_of(activation, scheme, budget),
                "rate": rates[f"{activation}, {scheme}"],
            }
            for activation, scheme in _CONDITIONS
        }

    def measure(self, settings: Settings, seed: int) -> Outcome:
        return measure_initialisation(settings, seed)

    def conclude(self, measured: Measurements) -> Conclusion:
        comparisons, beaten = [], []
        others = [f"{activation}, {scheme}" for activation, scheme in _CONDITIONS if activation != "relu"]
        for other in others:
            nearer = compare(
                f"ReLU, identity − {other}: distance of the rate from 0",
                "for a step",
                distances_from_zero(measured, _RELU),
                distances_from_zero(measured, other),
            )
            longer = compare(
                f"ReLU, identity − {other}: lengths solved",
                "rungs",
                measured.values(_RELU, "rungs"),
                measured.values(other, "rungs"),
            )
            comparisons += [nearer, longer]
            if nearer.is_clear and nearer.mean < 0 and longer.is_clear and longer.mean > 0:
                beaten.append(other)
        verdict = "depends on what it is compared with"
        if len(beaten) == len(others):
            verdict = "holds"
        elif not beaten:
            verdict = "does not hold here"
        return Conclusion(
            verdict,
            "ReLU with identity weights has a rate clearly nearer to 0 and solves clearly greater lengths than "
            f"{'; '.join(beaten) or 'none of the others'}.",
            (table_of(measured),),
            tuple(comparisons),
        )

    def draw(self, measured: Measurements, figure: "Figure") -> None:
        draw_ladder(measured, figure)
