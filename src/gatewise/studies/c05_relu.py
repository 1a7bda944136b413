"""C5: ReLU, suitably initialised, is less prone to vanishing than tanh or sigmoid."""

from gatewise.studies.initialisations import LADDER, LadderStudy, compare_conditions, table_of
from gatewise.studies.measurements import Measurements
from gatewise.studies.statistics import Comparison
from gatewise.studies.study import Conclusion, Reported, verdict_of

_RELU = "relu, identity"


class Relu(LadderStudy):
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
    pairs = (
        ("relu", "identity"),
        ("relu", "he"),
        ("tanh", "orthogonal"),
        ("tanh", "xavier"),
        ("sigmoid", "orthogonal"),
        ("sigmoid", "xavier"),
    )

    def conclude(self, measured: Measurements) -> Conclusion:
        comparisons: list[Comparison] = []
        beaten: list[str] = []
        others = [f"{activation}, {scheme}" for activation, scheme in self.pairs if activation != "relu"]
        for other in others:
            nearer, longer = compare_conditions(measured, _RELU, other, f"ReLU, identity − {other}: ")
            comparisons += [nearer, longer]
            if nearer.is_clearly_less and longer.is_clearly_more:
                beaten.append(other)
        return Conclusion(
            verdict_of(len(beaten), len(others), "what it is compared with"),
            "ReLU with identity weights has a rate clearly nearer to 0 and solves clearly greater lengths than "
            f"{'; '.join(beaten) or 'none of the others'}.",
            (table_of(measured),),
            tuple(comparisons),
        )
