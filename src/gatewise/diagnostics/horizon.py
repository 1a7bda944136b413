"""How far back a gradient reaches through a layer's own recurrence."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gatewise.diagnostics.recorded import Listener, Place, RecordedCall
from gatewise.kernels import Call, run
from gatewise.kernels.recording import Record

VANISHED, EXPLODED = 0.01, 100.0


@dataclass(frozen=True)
class Horizon:
    """How far back a gradient reaches that enters at the last step.

    Attributes:
        place: the layer and direction.
        steps: until its norm has fallen to 1 % or grown 100-fold; from the fitted rate where the sequence is too short
            to see it, and infinite where the norm hardly changes.
        rate: the factor per step, fitted to the logarithm of the norm.
        outcome: ``vanishes``, ``explodes`` or ``lasts``.
        seen: whether the steps were seen, not extrapolated.
        norms: (K,) the norm after 0, 1, … steps back, relative to that at the last step.
    """

    place: Place
    steps: float
    rate: float
    outcome: str
    seen: bool
    norms: Tensor

    def __str__(self) -> str:
        if self.outcome == "lasts":
            return f"{self.place}: the gradient lasts (factor {self.rate:.4g} per step)"
        verb = "falls to 1 %" if self.outcome == "vanishes" else "grows 100-fold"
        of = f" of {len(self.norms)}" if self.seen else ""
        how = "" if self.seen else f", extrapolated from {len(self.norms)}"
        return f"{self.place}: the gradient {verb} in {self.steps:.3g}{of} steps (factor {self.rate:.4g} per step{how})"


def horizons_of(recorded: RecordedCall) -> list[Horizon]:
    """The horizon of each direction of a call.

    The call is run again, one gradient of random direction enters each row's output at its last step, and nothing
    else does, so losses at other steps do not hide how much is lost on the way.
    """
    return [
        _horizon(single, place)
        for single, place in zip(recorded.asked_again().single_directions(), recorded.places, strict=True)
    ]


def _horizon(call: Call, place: Place) -> Horizon:
    sink = RecordedCall(Listener(), place.module, place.layer, keep_all=False)
    asked = call.with_tensors(tuple(tensor.detach().requires_grad_() for tensor in call.tensors))
    asked = replace(asked, record=Record((sink,)))
    with torch.enable_grad():
        _, finals = run(asked)
    draw = torch.Generator().manual_seed(0)
    gradient = torch.randn(finals[0].shape, generator=draw, dtype=torch.float64).to(finals[0])
    torch.autograd.grad(finals[0], asked.initial, gradient, allow_unused=True)
    return _fitted(place, profile(asked, sink.gradient_norms[0]))


def profile(call: Call, norms: Tensor) -> Tensor:
    """The norm over states, so many steps before each row's last and relative to it there, as far as no reset cuts it.

    Over rows it is the root of the mean square.

    Arguments:
        call: one direction.
        norms: (S, T, B).
    """
    steps, batch = call.x.shape[:2]
    square = norms.double().square().sum(dim=0)  # (T, B)
    time = torch.arange(steps, device=square.device)[:, None]
    lengths = torch.full((batch,), steps, device=square.device) if call.lengths is None else call.lengths
    flags = torch.zeros((steps, batch), dtype=torch.bool, device=square.device) if call.reset is None else call.reset
    if call.directions == "forward":
        back = lengths - 1 - time
        first = torch.where(flags & (time < lengths), time, 0).amax(dim=0)
        alive = (time >= first) & (time < lengths)
    else:
        back = time.expand(steps, batch)
        # A boundary at t stands between t and t − 1, and a reverse gradient comes from t = 0.
        later = torch.where(flags & (time > 0) & (time < lengths), time, steps).amin(dim=0)
        alive = (time < later) & (time < lengths)
    start = torch.where((back == 0) & alive, square, 0.0).sum(dim=0)
    alive &= start > 0
    square = square / torch.where(start > 0, start, 1.0)
    total = square.new_zeros(steps)
    count = square.new_zeros(steps)
    total.index_add_(0, back[alive], square[alive])
    count.index_add_(0, back[alive], torch.ones_like(square[alive]))
    reached = int((count > 0).sum())
    return (total[:reached] / count[:reached]).sqrt()


def _fitted(place: Place, norms: Tensor) -> Horizon:
    values = norms.tolist()
    usable = [(at, math.log(value)) for at, value in enumerate(values) if 0 < value < math.inf]
    usable = usable[: next((at for at, (step, _) in enumerate(usable) if step != at), len(usable))]
    rate = math.exp(_slope(usable)) if len(usable) > 1 else math.nan
    if len(usable) < len(values) and len(usable) == 1:
        rate = 0.0 if values[1] == 0 else math.inf
    for at, value in enumerate(values):
        if value <= VANISHED:
            return Horizon(place, at, rate, "vanishes", True, norms)
        if value >= EXPLODED or math.isnan(value):
            return Horizon(place, at, rate, "explodes", True, norms)
    slope = math.log(rate) if rate and math.isfinite(rate) else 0.0
    if abs(slope) * max(len(values), 1) < 0.01:
        return Horizon(place, math.inf, rate, "lasts", False, norms)
    if slope < 0:
        return Horizon(place, math.log(VANISHED) / slope, rate, "vanishes", False, norms)
    return Horizon(place, math.log(EXPLODED) / slope, rate, "explodes", False, norms)


def _slope(points: list[tuple[int, float]]) -> float:
    x = sum(at for at, _ in points) / len(points)
    y = sum(value for _, value in points) / len(points)
    return sum((at - x) * (value - y) for at, value in points) / sum((at - x) ** 2 for at, _ in points)
