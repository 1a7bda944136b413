"""C2: gradients can grow exponentially, more readily with ReLU, and make training diverge."""

import math
from collections.abc import Mapping
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

import torch

from gatewise.diagnostics import watch
from gatewise.layers import Recurrent
from gatewise.studies.gradient_rates import fitted_rate, gradient_rate
from gatewise.studies.gradient_theory import ACTIVATIONS
from gatewise.studies.learning import learn
from gatewise.studies.measurements import Measurements
from gatewise.studies.problems import AddingSum, Network
from gatewise.studies.statistics import compare, interval_of_mean, share
from gatewise.studies.study import Budget, Conclusion, Outcome, Reported, Settings, Study, Table, verdict_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INPUTS = 16
_GAINS = (0.5, 1.0, 1.5, 2.0, 3.0)
_DIVERGED_ABOVE = 10.0
_SIZES: dict[Budget, dict[str, Any]] = {
    "full": {"steps": 80, "width": 128, "layers": 8, "updates": 300},
    "quick": {"steps": 60, "width": 128, "layers": 8, "updates": 150},
    "tiny": {"steps": 20, "width": 8, "layers": 4, "updates": 2},
}


class Exploding(Study):
    """Growth of the gradient over time and layers, and divergence, against the size of the weights."""

    name, word = "C2", "exploding"
    title = "Gradients can grow exponentially, more readily with ReLU, and make training diverge"
    claim = (
        "Gradients can grow exponentially, over time steps and over layers, more readily with ReLU, and make training "
        "diverge."
    )
    question = (
        "From which size of the weights on does the gradient grow over time, and over the layers of a stack? Is that "
        "earlier with ReLU than with tanh and sigmoid? Does training diverge there?"
    )
    setup = f"""
Weights are independent normal with variance g²/H, g from {_GAINS[0]:g} to {_GAINS[-1]:g}; 128 units.

- *Over time*: one layer, one sequence of 80 steps (quick: 60) of normal inputs (variance 0.25 in the argument of the
  activation), the loss the sum of the last outputs; the rate is that of C1, in double precision.
- *Over layers*: 8 layers, 20 steps, the loss the sum of all outputs; the rate is the slope of the logarithm of the
  norm of the gradient of a layer's states, over the layers from the last to the first. All weights have the gain g.
- *Training*: adding (values in [0, 1]) at T = 50, one layer, a linear readout, stochastic gradient descent with the
  rate 0.01 without clipping, 300 updates of 16 sequences (quick: 150). Diverged: the loss or a gradient is not
  finite, or the mean loss of a fortieth of the run is above {_DIVERGED_ABOVE:g} times that of always answering 1
  (1/6). How far R moved is the norm of its change in training, relative to its initial norm; 0
  where the first gradient is not finite, so that no update is made.
"""
    equal = "gain, width, inputs and updates; the activation differs"
    prediction = """
With ReLU the gradient grows over time from g = 2 on, since half of the slopes are 1 and the rate is near ½·log(g²/2),
and over layers too. With tanh it grows at most slightly at any g, because larger weights saturate the units; with
sigmoid it shrinks up to g = 3. Training with ReLU diverges at g = 2 and 3 with every seed, with tanh and sigmoid with
none.

Rule: three statements are tested. (1) Growth: with ReLU at g = 3 the intervals of the mean rates over time and over
layers are above 0. (2) More readily: at g = 3 the ReLU's rate over time is clearly greater than that of tanh and of
sigmoid. (3) Divergence: with ReLU clearly more seeds diverge at g = 3 than at g = 0.5. The claim holds if all three
are met, depends on what is measured if some are, and else does not hold here.
"""
    literature = (
        Reported(
            "The gradient can explode only if the largest singular value of the recurrent weights exceeds the inverse "
            "of the largest slope.",
            "Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063",
        ),
        Reported(
            "Recurrent ReLU networks are trained from an identity matrix, where the gradient neither grows nor "
            "shrinks.",
            "Le, Jaitly & Hinton 2015, arXiv:1504.00941",
        ),
    )

    def conditions(self, budget: Budget, rates: Mapping[str, float]) -> dict[str, Settings]:
        return {
            f"{activation}, g = {gain:g}": {"activation": activation, "gain": gain, **_SIZES[budget]}
            for activation in ACTIVATIONS
            for gain in _GAINS
        }

    def measure(self, settings: Settings, seed: int) -> Outcome:
        over_time = gradient_rate(
            _layer(settings, 1), torch.randn(settings["steps"], 1, _INPUTS, dtype=torch.float64), skip=5
        )
        problem = AddingSum(50)
        layer = Recurrent(f"rnn_{settings['activation']}", problem.input_size, settings["width"])
        _scale(layer, settings["gain"])
        recurrent = layer.get_parameter("weight_hh_l0")
        initial = recurrent.detach().clone()
        sequences = 16 * settings["updates"]
        training = learn(
            problem,
            Network(layer, problem),
            torch.Generator().manual_seed(seed),
            rate=0.01,
            sequences=sequences,
            clip=None,
            optimiser=torch.optim.SGD,
        )
        worst = max((loss for _, loss in training.curve), default=math.inf)
        return {
            "over_time": over_time.rate,
            "over_layers": _rate_over_layers(settings),
            "diverged": training.diverged or worst > _DIVERGED_ABOVE / 6,
            "not_finite": training.diverged,
            "largest_norm": training.largest_norm,
            "moved": _finite(float((recurrent.detach() - initial).norm() / initial.norm())),
        }

    def conclude(self, measured: Measurements) -> Conclusion:
        top = {activation: f"{activation}, g = {_GAINS[-1]:g}" for activation in ACTIVATIONS}
        growth = all(
            interval_of_mean(_values(measured, top["relu"], key))[0] > 0 for key in ("over_time", "over_layers")
        )
        readily = [
            compare(
                f"g = {_GAINS[-1]:g}: ReLU − {other}, rate over time",
                "for a step",
                _values(measured, top["relu"], "over_time"),
                _values(measured, top[other], "over_time"),
            )
            for other in ("tanh", "sigmoid")
        ]
        diverged = compare(
            f"ReLU: g = {_GAINS[-1]:g} − g = {_GAINS[0]:g}, diverged",
            "of a seed",
            measured.values(top["relu"], "diverged"),
            measured.values(f"relu, g = {_GAINS[0]:g}", "diverged"),
        )
        met = {
            "growth": growth,
            "more readily": all(one.is_clearly_more for one in readily),
            "divergence": diverged.is_clearly_more,
        }
        rates = ", ".join(
            f"{activation} {fmean(_values(measured, name, 'over_time')):+.2f}" for activation, name in top.items()
        )
        return Conclusion(
            verdict_of(sum(met.values()), len(met), "what is measured"),
            f"Met: {', '.join(name for name, is_met in met.items() if is_met) or 'none of the three statements'}. Mean "
            f"rates over time at g = {_GAINS[-1]:g}: {rates} nats for a step; with ReLU "
            f"{sum(measured.values(top['relu'], 'diverged'))} of {len(measured.seeds)} runs diverge there.",
            (_table(measured),),
            (*readily, diverged),
        )

    def draw(self, measured: Measurements, figure: "Figure") -> None:
        panels = {"over_time": "rate over time, for a step", "over_layers": "rate over layers, for a layer"}
        axes = figure.subplots(1, 3)
        for index, activation in enumerate(ACTIVATIONS):
            names = [f"{activation}, g = {gain:g}" for gain in _GAINS]
            for axis, (key, label) in zip(axes, panels.items(), strict=False):
                values = [_values(measured, name, key) for name in names]
                axis.plot(_GAINS, [fmean(of) for of in values], color=f"C{index}", label=activation)
                for gain, of in zip(_GAINS, values, strict=True):
                    axis.plot([gain] * len(of), of, ".", color=f"C{index}", alpha=0.4)
                axis.axhline(0, color="grey", linewidth=0.8)
                axis.set(xlabel="gain g of the weights", ylabel=label)
            shares = [sum(measured.values(name, "diverged")) / len(measured.seeds) for name in names]
            axes[2].plot(_GAINS, shares, "o-", color=f"C{index}", alpha=0.7)
        axes[2].set(xlabel="gain g of the weights", ylabel="share of seeds whose training diverges")
        axes[0].legend()
        for axis in axes:
            axis.grid(alpha=0.3)


def _layer(settings: Settings, layers: int) -> Recurrent:
    layer = Recurrent(
        f"rnn_{settings['activation']}", _INPUTS, settings["width"], layers, init="xavier", dtype=torch.float64
    )
    _scale(layer, settings["gain"])
    with torch.no_grad():
        layer.get_parameter("weight_ih_l0").normal_(std=0.5 / _INPUTS**0.5)
    return layer


@torch.no_grad()
def _scale(layer: Recurrent, gain: float) -> None:
    """Draw all weights from state to state with the gain."""
    for name, weights in layer.named_parameters():
        if weights.dim() == 2 and name != "weight_ih_l0":
            weights.normal_(std=gain / layer.hidden_size**0.5)


def _rate_over_layers(settings: Settings) -> float | None:
    layers = settings["layers"]
    stack = _layer(settings, layers)
    with watch(stack) as trace:
        stack(torch.randn(20, 1, _INPUTS, dtype=torch.float64))[0].sum().backward()
    flow = trace.gradient_flow()
    norms = torch.stack([flow[f"l{layer}.h"].norm() for layer in reversed(range(layers))])
    return fitted_rate(norms.double(), skip=0).rate


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _values(measured: Measurements, condition: str, key: str) -> list[float]:
    """The rates of a condition; a gradient that is gone at once has none, and counts as −50."""
    return [-50.0 if value is None else value for value in measured.values(condition, key)]


def _table(measured: Measurements) -> Table:
    rows: list[tuple[str, ...]] = []
    for name in measured.conditions:
        cells: list[str] = []
        for key in ("over_time", "over_layers"):
            values = _values(measured, name, key)
            low, high = interval_of_mean(values)
            cells.append(f"{fmean(values):+.3f} ({low:+.3f} to {high:+.3f})")
        moved = [value for value in measured.values(name, "moved") if value is not None]
        rows.append(
            (
                name,
                *cells,
                share(sum(measured.values(name, "diverged")), len(measured.seeds)),
                f"{100 * median(moved):.2g} %" if len(moved) > len(measured.seeds) / 2 else "not finite",
            )
        )
    columns = (
        "condition",
        "rate over time (95 % interval)",
        "rate over layers (95 % interval)",
        "diverged",
        "R moved in training (median)",
    )
    return Table("Rates in nats and divergences, means over seeds", columns, tuple(rows))
