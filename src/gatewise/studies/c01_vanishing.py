"""C1: gradients of a tanh or sigmoid network shrink exponentially over time."""

from collections.abc import Mapping
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch

from gatewise.layers import Recurrent
from gatewise.studies.gradient_rates import gradient_rate
from gatewise.studies.gradient_theory import ACTIVATIONS, lyapunov_exponent, mean_field_rate, rate_bound
from gatewise.studies.measurements import Measurements
from gatewise.studies.statistics import compare, interval_of_mean
from gatewise.studies.study import Budget, Conclusion, Outcome, Reported, Settings, Study, Table, verdict_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INPUTS, _SKIP = 16, 10
_SCHEMES = ("gaussian", "xavier", "orthogonal")
_SCALES = (0.5, 1.0, 2.0, 4.0)
_SIZES: dict[Budget, dict[str, Any]] = {
    "full": {"steps": 120, "width": 256, "depths": (1, 3)},
    "quick": {"steps": 80, "width": 256, "depths": (1, 3)},
    "tiny": {"steps": 20, "width": 8, "depths": (1,)},
}


class Vanishing(Study):
    """The rate of the gradient over time against activation, initialisation, depth and saturation."""

    name, word = "C1", "vanishing"
    title = "Gradients of tanh and sigmoid networks shrink exponentially over time"
    claim = (
        "Gradients of a tanh or sigmoid network shrink exponentially over the time steps, so that what lies far back "
        "barely moves the weights; saturated units make it worse."
    )
    question = (
        "Is the norm of the gradient against the distance from the loss a straight line on a logarithmic scale, how "
        "steep is it, and does theory give its slope? How much of the weights' gradient comes from the first half of "
        "the steps?"
    )
    setup = """
One sequence of independent normal inputs (16 features), the loss the sum of the last outputs, at initialisation, in
double precision. Layers of 256 units, 1 or 3 of them (the lowest is measured), T = 120 steps (quick: 80). Recurrent
weights: *gaussian*, independent with variance 0.81/H; *xavier* and *orthogonal* as `init=` gives them. Input weights
are scaled so that the input adds a variance of s² to the argument of the activation; s = 0.5, or 1, 2, 4 for
*saturation* (gaussian weights). The rate is the slope of a line through the logarithm of the norm, by distance,
without the ten steps nearest to the loss.

Theory: the top Lyapunov exponent of the same run, from products of its Jacobians with QR; mean field,
½·log(σ_w²·E[φ′²]), for gaussian weights; the bound log(σ_max(R)·max φ′). The share of far steps: the norm of the part
of the gradient of R that is lost if the gradient is cut in the middle of the sequence, relative to the whole.
"""
    equal = "inputs, width and steps; ReLU is shown beside tanh and sigmoid, which the claim is about"
    prediction = """
For tanh and sigmoid every initialisation here gives a negative rate and a straight line (R² above 0.9). The sigmoid's
rate is below −1 for a step, tanh's between −1 and 0, that of orthogonal weights nearest to 0. Stronger input
saturates units and makes the rate more negative, step by step from s = 0.5 to 4. Depth changes the rate of the lowest
layer little. The far half contributes less than a millionth of the gradient for the sigmoid. Rates are within 10 % of
the Lyapunov exponent, within 20 % of mean field for gaussian weights and one layer, and never above the bound.

Rule: the claim holds if for tanh and sigmoid in every condition the interval of the mean rate is below 0 and the mean
R² above 0.9, and if the rate at s = 4 is clearly lower than at s = 0.5. It depends on the activation if that is so
for one of them, and else does not hold here.
"""
    literature = (
        Reported(
            "The gradient over n steps is at most (γ λ)ⁿ of itself, λ the largest singular value of R and γ the "
            "largest slope; if γ λ < 1 it must vanish.",
            "Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063",
        ),
        Reported(
            "Long-term dependencies are hard to learn by gradient descent, because gradients vanish where states are "
            "kept robustly.",
            "Bengio, Simard & Frasconi 1994, IEEE Transactions on Neural Networks 5(2)",
        ),
    )

    def conditions(self, budget: Budget, rates: Mapping[str, float]) -> dict[str, Settings]:
        sizes = _SIZES[budget]
        base = {"steps": sizes["steps"], "width": sizes["width"]}
        found: dict[str, Settings] = {}
        for activation in ACTIVATIONS:
            for scheme in _SCHEMES:
                for depth in sizes["depths"]:
                    given = {"activation": activation, "scheme": scheme, "depth": depth, "scale": _SCALES[0]}
                    found[f"{activation}, {scheme}, depth {depth}"] = {**given, **base}
            for scale in _SCALES[1:]:
                given = {"activation": activation, "scheme": "gaussian", "depth": 1, "scale": scale}
                found[f"{activation}, saturation {scale:g}"] = {**given, **base}
        return found

    def measure(self, settings: Settings, seed: int) -> Outcome:
        activation, width, scale = settings["activation"], settings["width"], settings["scale"]
        layer = _layer(settings)
        x = torch.randn(settings["steps"], 1, _INPUTS, dtype=torch.float64)
        skip = min(_SKIP, settings["steps"] // 4)
        found = gradient_rate(layer, x, skip=skip)
        outcome: Outcome = {"rate": found.rate, "r_squared": found.r_squared, "far_share": _far_share(layer, x)}
        recurrent = layer.get_parameter("weight_hh_l0").detach()
        outcome["bound"] = rate_bound(recurrent, activation)
        outcome["lyapunov"] = outcome["mean_field"] = None
        if settings["depth"] == 1:
            with torch.no_grad():
                exponent = lyapunov_exponent(layer(x)[0][:, 0], recurrent, activation, skip=skip)
            outcome["lyapunov"] = exponent if exponent > float("-inf") else None
            if settings["scheme"] == "gaussian":
                outcome["mean_field"] = mean_field_rate(activation, _VARIANCE, scale**2)
        outcome["max_state"] = float(layer(x)[0].detach().abs().max())
        return {**outcome, "width": width, "norms": found.norms}

    def conclude(self, measured: Measurements) -> Conclusion:
        comparisons, held = [], []
        for activation in ("tanh", "sigmoid"):
            strong = _rates(measured, f"{activation}, saturation {_SCALES[-1]:g}")
            weak = _rates(measured, f"{activation}, gaussian, depth 1")
            saturated = compare(f"{activation}: input s = 4 − s = 0.5, rate", "for a step", strong, weak)
            comparisons.append(saturated)
            names = measured.where(activation=activation)
            shrinks = all(interval_of_mean(_rates(measured, name))[1] < 0 for name in names)
            straight = all(fmean(measured.values(name, "r_squared")) > 0.9 for name in names)
            if shrinks and straight and saturated.is_clearly_less:
                held.append(activation)
        checks = _checks(measured)
        rates = ", ".join(
            f"{activation} {fmean(_rates(measured, f'{activation}, gaussian, depth 1')):.2f}"
            for activation in ACTIVATIONS
        )
        return Conclusion(
            verdict_of(len(held), 2, "the activation"),
            f"The claim's conditions are met by {' and '.join(held) or 'neither'}. Mean rates for a step with gaussian "
            f"weights: {rates} nats. {checks}",
            (_table(measured),),
            tuple(comparisons),
        )

    def draw(self, measured: Measurements, figure: "Figure") -> None:
        left, right = figure.subplots(1, 2)
        for index, activation in enumerate(ACTIVATIONS):
            for scheme, style in zip(_SCHEMES, ("-", "--", ":"), strict=True):
                for seed, norms in enumerate(measured.values(f"{activation}, {scheme}, depth 1", "norms")):
                    label = f"{activation}, {scheme}" if seed == 0 else None
                    plotted = [norm or float("nan") for norm in norms]
                    left.semilogy(plotted, style, color=f"C{index}", alpha=0.4, linewidth=1, label=label)
        left.set(xlabel="distance from the loss", ylabel="norm of the gradient, relative", ylim=(1e-40, 10))
        left.legend(fontsize=8)
        left.grid(alpha=0.3)
        pairs = [
            (outcome["lyapunov"], outcome["rate"], measured.settings[name]["activation"])
            for name in measured.where(depth=1)
            for outcome in measured.outcomes[name]
            if outcome["lyapunov"] is not None and outcome["rate"] is not None
        ]
        for index, activation in enumerate(ACTIVATIONS):
            of = [(theory, rate) for theory, rate, which in pairs if which == activation]
            right.plot([one[0] for one in of], [one[1] for one in of], ".", color=f"C{index}", label=activation)
        low = min((min(theory, rate) for theory, rate, _ in pairs), default=-1.0)
        right.plot([low, 0], [low, 0], color="grey", linewidth=1)
        right.set(xlabel="top Lyapunov exponent of the run", ylabel="fitted rate for a step")
        right.legend()
        right.grid(alpha=0.3)


_VARIANCE = 0.81


def _layer(settings: Settings) -> Recurrent:
    scheme, width = settings["scheme"], settings["width"]
    cell = "rnn_" + settings["activation"]
    init = "xavier" if scheme == "gaussian" else scheme
    layer = Recurrent(cell, _INPUTS, width, settings["depth"], init=init, dtype=torch.float64)
    with torch.no_grad():
        layer.get_parameter("weight_ih_l0").normal_(std=settings["scale"] / _INPUTS**0.5)
        if scheme == "gaussian":
            for depth in range(settings["depth"]):
                layer.get_parameter(f"weight_hh_l{depth}").normal_(std=(_VARIANCE / width) ** 0.5)
    return layer


def _far_share(layer: Recurrent, x: torch.Tensor) -> float:
    """The part of the recurrent gradient that comes from the first half of the steps, relative to the whole."""

    def gradient(cut: bool) -> torch.Tensor:
        layer.zero_grad()
        middle = len(x) // 2
        _, state = layer(x[:middle])
        layer(x[middle:], state.detach() if cut else state)[0][-1].sum().backward()
        found = layer.get_parameter("weight_hh_l0").grad
        assert found is not None
        return found.clone()

    whole = gradient(cut=False)
    return float((whole - gradient(cut=True)).norm() / whole.norm())


def _rates(measured: Measurements, condition: str) -> list[float]:
    """The rates of a condition; a gradient that is gone within the ten steps has none, and counts as −50."""
    return [-50.0 if rate is None else rate for rate in measured.values(condition, "rate")]


def _checks(measured: Measurements) -> str:
    """How the rates of single runs agree with theory."""
    outcomes = [
        outcome
        for name in measured.where(depth=1)
        for outcome in measured.outcomes[name]
        if outcome["rate"] is not None
    ]
    parts: list[str] = []
    for key, label, limit in (("lyapunov", "the run's Lyapunov exponent", 0.1), ("mean_field", "mean field", 0.2)):
        compared = [one for one in outcomes if one[key] is not None]
        near = sum(abs(one["rate"] - one[key]) <= limit * abs(one[key]) for one in compared)
        parts.append(f"{near} of {len(compared)} are within {100 * limit:.0f} % of {label}")
    above = sum(one["rate"] > one["bound"] + 1e-9 for one in outcomes)
    return f"Of {len(outcomes)} rates of one layer, {', '.join(parts)}, and {above} are above the bound."


def _table(measured: Measurements) -> Table:
    rows: list[tuple[str, ...]] = []
    for name in measured.conditions:
        rates = _rates(measured, name)
        low, high = interval_of_mean(rates)
        theory = [
            [value for value in measured.values(name, key) if value is not None]
            for key in ("lyapunov", "mean_field", "bound")
        ]
        rows.append(
            (
                name,
                f"{fmean(rates):.3f} ({low:.3f} to {high:.3f})",
                f"{fmean(measured.values(name, 'r_squared')):.3f}",
                *(f"{fmean(of):.3f}" if of else "–" for of in theory),
                f"{fmean(measured.values(name, 'far_share')):.1e}",
            )
        )
    columns = ("condition", "rate (95 % interval)", "R²", "Lyapunov", "mean field", "bound", "share of far steps")
    return Table("Rates for a step in nats, means over seeds", columns, tuple(rows))
