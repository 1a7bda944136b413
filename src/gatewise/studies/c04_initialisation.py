"""C4: Xavier or He initialisation alleviates vanishing and exploding gradients."""

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

_PAIRS = {"tanh": "xavier", "relu": "he"}
_SCHEMES = ("torch", "xavier", "he", "orthogonal", "identity")
_BASELINE = "torch"


class Initialisation(Study):
    """Initialisers against the uniform default of torch.nn."""

    name, word = "C4", "initialisation"
    title = "Xavier or He initialisation alleviates vanishing and exploding gradients"
    claim = "Xavier or He initialisation alleviates vanishing and exploding gradients."
    question = (
        "Is the gradient's rate at initialisation nearer to 0 with Xavier (tanh) or He (ReLU) than with the uniform "
        "weights ±1/√H of torch.nn, and are greater lengths of adding learned? And with orthogonal and identity "
        "weights?"
    )
    setup = "tanh and ReLU networks, each with the five initialisers.\n" + LADDER
    equal = "cell, width, data and updates; learning rates are chosen for each"
    prediction = """
Xavier and He bring the rate nearer to 0 than the uniform weights: these have the variance 1/(3 H), a rate near
½·log(1/3) = −0.55 and lower; Xavier's variance is 1/H in the recurrent weights, He's 2/H. Orthogonal and identity
weights are nearer still. The lengths learned grow with it for identity weights with ReLU, but between Xavier, He and
the uniform weights no clear difference is expected, since training moves the weights.

Rule: the rate is alleviated if the distance of the rate from 0 is clearly smaller than with uniform weights, with
Xavier for tanh and He for ReLU; learning if clearly more lengths are solved. The claim holds if both are met for both
activations, depends on what is measured if some of the four are, and else does not hold here.
"""
    literature = (
        Reported(
            "Weights whose variance keeps that of activations and gradients from layer to layer train deeper networks.",
            "Glorot & Bengio 2010, AISTATS",
        ),
        Reported("For ReLU the variance must be doubled.", "He et al. 2015, arXiv:1502.01852"),
        Reported(
            "ReLU networks with identity recurrent weights learn adding at T = 150 to 400.",
            "Le, Jaitly & Hinton 2015, arXiv:1504.00941",
        ),
    )
    learning_rates = LEARNING_RATES

    def tuned(self, budget: Budget) -> dict[str, Settings]:
        return {
            f"{activation}, {scheme}": shortest(settings_of(activation, scheme, budget))
            for activation in _PAIRS
            for scheme in _SCHEMES
        }

    def score(self, outcome: Outcome) -> float:
        return outcome["score"]

    def conditions(self, budget: Budget, rates: Mapping[str, float]) -> dict[str, Settings]:
        return {
            f"{activation}, {scheme}": {
                **settings_of(activation, scheme, budget),
                "rate": rates[f"{activation}, {scheme}"],
            }
            for activation in _PAIRS
            for scheme in _SCHEMES
        }

    def measure(self, settings: Settings, seed: int) -> Outcome:
        return measure_initialisation(settings, seed)

    def conclude(self, measured: Measurements) -> Conclusion:
        met: list[str] = []
        comparisons = []
        for activation, scheme in _PAIRS.items():
            new, old = f"{activation}, {scheme}", f"{activation}, {_BASELINE}"
            nearer = compare(
                f"{activation}: {scheme} − uniform, distance of the rate from 0",
                "for a step",
                distances_from_zero(measured, new),
                distances_from_zero(measured, old),
            )
            longer = compare(
                f"{activation}: {scheme} − uniform, lengths solved",
                "rungs",
                measured.values(new, "rungs"),
                measured.values(old, "rungs"),
            )
            comparisons += [nearer, longer]
            if nearer.is_clear and nearer.mean < 0:
                met.append(f"the rate of {activation}")
            if longer.is_clear and longer.mean > 0:
                met.append(f"the lengths of {activation}")
        verdict = "depends on what is measured"
        if len(met) == 2 * len(_PAIRS):
            verdict = "holds"
        elif not met:
            verdict = "does not hold here"
        return Conclusion(
            verdict,
            f"Xavier and He clearly improve on uniform weights in {', '.join(met) or 'nothing'}, of the rate and the "
            "lengths of tanh and ReLU.",
            (table_of(measured),),
            tuple(comparisons),
        )

    def draw(self, measured: Measurements, figure: "Figure") -> None:
        draw_ladder(measured, figure)
