"""C4: Xavier or He initialisation alleviates vanishing and exploding gradients."""

from gatewise.layers.options import Scheme
from gatewise.studies.initialisations import LADDER, LadderStudy, compare_conditions, table_of
from gatewise.studies.measurements import Measurements
from gatewise.studies.statistics import Comparison
from gatewise.studies.study import Conclusion, Reported, verdict_of

_PAIRS: dict[str, Scheme] = {"tanh": "xavier", "relu": "he"}
_SCHEMES: tuple[Scheme, ...] = ("torch", "xavier", "he", "orthogonal", "identity")
_BASELINE = "torch"


class Initialisation(LadderStudy):
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
    pairs = tuple((activation, scheme) for activation in _PAIRS for scheme in _SCHEMES)

    def conclude(self, measured: Measurements) -> Conclusion:
        met: list[str] = []
        comparisons: list[Comparison] = []
        for activation, scheme in _PAIRS.items():
            nearer, longer = compare_conditions(
                measured,
                f"{activation}, {scheme}",
                f"{activation}, {_BASELINE}",
                f"{activation}: {scheme} − uniform, ",
            )
            comparisons += [nearer, longer]
            if nearer.is_clearly_less:
                met.append(f"the rate of {activation}")
            if longer.is_clearly_more:
                met.append(f"the lengths of {activation}")
        return Conclusion(
            verdict_of(len(met), 2 * len(_PAIRS), "what is measured"),
            f"Xavier and He clearly improve on uniform weights in {', '.join(met) or 'nothing'}, of the rate and the "
            "lengths of tanh and ReLU.",
            (table_of(measured),),
            tuple(comparisons),
        )
